//! Proofs: a code after a password, a passkey by itself, and the same once more for what wants a fresh token.

use std::net::IpAddr;

use berth_schema::name::UserName;
use berth_schema::user::{SecondFactor, User};
use berth_wire::web::{
    Confirm, Done, Entered, Half, Proof, Refusal, Secret, SignInCode, SignInPasskey, SignedIn,
};

use super::super::audit::Act;
use super::super::entry::give;
use super::super::means::Means;
use super::super::panel::{Asker, Panel};
use super::super::refusals::{
    busy, dead_half, forbidden, lost_factor, signed_out, too_many, unavailable, wrong_code, wrong_passkey,
    wrong_password,
};
use super::super::secret::Digest;
use super::super::throttle::Attempt;
use super::super::tokens::Place;
use super::halves::GOOD_FOR;
use super::kept::Used;
use super::passkey::{self, Refused, Site};
use crate::members::Good;

/// Lets somebody in whose password is good, or for whom the provider vouches, or asks them for a code.
pub(crate) fn enter(panel: &Panel, good: &Good, user: &User, place: Place) -> Result<Entered, Refusal> {
    let from = place.from;
    let Some(SecondFactor::Totp) = user.second_factor else {
        let act = way(&place.means);
        let signed_in = give(panel, good, user, place)?;
        panel.note(Some(&user.name), from, act);
        return Ok(Entered::SignedIn(Box::new(signed_in)));
    };
    if panel.kept.recovery(&user.name).map_err(|error| unavailable(&error))?.is_none() {
        panel.note(Some(&user.name), from, Act::FactorLost);
        return Err(lost_factor());
    }
    let now = panel.now();
    let half = panel.halves.give(&user.name, Digest::of_standing(user), place, now.steady);
    let half = Secret(half.map_err(|error| unavailable(&error))?);
    Ok(Entered::CodeWanted(Half { half, until: now.date + GOOD_FOR }))
}

/// Signs somebody in by the code that was wanted after their password.
pub(crate) fn sign_in_code(panel: &Panel, asked: SignInCode) -> Result<SignedIn, Refusal> {
    let SignInCode { half: Secret(secret), code, from, browser, is_short } = asked;
    let now = panel.now();
    let name = panel.halves.of(&secret, now.steady).ok_or_else(dead_half)?;
    let begun = panel.throttle.begin(from, Some(name.as_str()), now.steady);
    let attempt = begun.map_err(too_many)?;
    let good = panel.good()?;
    let half = panel.halves.take(&secret, now.steady).ok_or_else(dead_half)?;
    let user = good.state.users.get(&name).filter(|user| Digest::of_standing(user) == half.standing);
    let Some(user) = user else {
        attempt.take_back();
        return Err(dead_half());
    };
    match panel.kept.use_code(&name, &code.0, now.date).map_err(|error| unavailable(&error))? {
        used @ (Used::Code | Used::Recovery) => {
            attempt.succeeded();
            let act = if used == Used::Code { way(&half.place.means) } else { Act::SignInRecovery };
            let Place { means, is_old_proof, .. } = half.place;
            let place = Place { is_short, means, is_old_proof, ..Place::of(from, &browser) };
            let signed_in = give(panel, &good, user, place)?;
            panel.note(Some(&name), Some(from), act);
            Ok(signed_in)
        }
        Used::Wrong => {
            panel.halves.put_back(&secret, half);
            panel.note(Some(&name), Some(from), Act::CodeRefused);
            Err(wrong_code())
        }
        Used::Lost => {
            attempt.take_back();
            Err(lost_factor())
        }
    }
}

fn way(means: &Means) -> Act<'static> {
    if means.oidc.is_some() { Act::SignInProvider } else { Act::SignIn }
}

/// Signs somebody in by a passkey.
pub(crate) fn sign_in_passkey(panel: &Panel, asked: SignInPasskey) -> Result<SignedIn, Refusal> {
    let SignInPasskey { host, response, from, browser } = asked;
    let attempt = panel.throttle.begin(from, None, panel.now().steady).map_err(too_many)?;
    let good = panel.good()?;
    let (name, id) = check_passkey(panel, &good, &host, &response, from, None)?;
    attempt.take_back();
    let user = good.state.users.get(&name).ok_or_else(wrong_passkey)?;
    let place = Place { means: Means::passkey(&id), ..Place::of(from, &browser) };
    let signed_in = give(panel, &good, user, place)?;
    panel.note(Some(&name), Some(from), Act::SignInPasskey);
    Ok(signed_in)
}

/// Makes somebody's token fresh, once they have proved who they are.
pub(crate) fn confirm(panel: &Panel, asker: &Asker, asked: Confirm) -> Result<Done, Refusal> {
    let Confirm { proof, from } = asked;
    match proof {
        Proof::Password { password, code } => prove(panel, asker, &password, &code, from)?,
        Proof::Passkey { host, response } => {
            let begun = panel.throttle.begin(from, Some(asker.name.as_str()), panel.now().steady);
            let attempt = begun.map_err(too_many)?;
            check_passkey(panel, &asker.good, &host, &response, from, Some(&asker.name))?;
            attempt.succeeded();
        }
    }
    panel.tokens.refresh(&asker.name, asker.token, panel.now().date).map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), Some(from), Act::Confirm);
    Ok(Done)
}

/// Checks that whoever asks knows their password, and a code where they have a second factor.
pub(super) fn prove(
    panel: &Panel,
    asker: &Asker,
    password: &Secret,
    code: &Secret,
    from: IpAddr,
) -> Result<(), Refusal> {
    let name = &asker.name;
    let attempt = panel.throttle.begin(from, Some(name.as_str()), panel.now().steady).map_err(too_many)?;
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    let Some(hash) = user.password_hash.as_deref() else {
        attempt.take_back();
        return Err(forbidden(
            "You have no password, so it can't be asked for.",
            "Use a passkey or the provider, or ask {help} for a link with which you set a password.",
        ));
    };
    match panel.checks.pass(from, || berth_password::matches(&password.0, hash)) {
        Ok(true) => {}
        Ok(false) => {
            panel.note(Some(name), Some(from), Act::SignInRefused);
            return Err(wrong_password());
        }
        Err(_) => {
            attempt.take_back();
            return Err(busy());
        }
    }
    prove_code(panel, user, code, from, attempt)
}

/// Checks the code of somebody who has a second factor; `attempt` ends with it. Whoever has none has to have proved who they are before.
pub(crate) fn prove_code(
    panel: &Panel,
    user: &User,
    code: &Secret,
    from: IpAddr,
    attempt: Attempt<'_>,
) -> Result<(), Refusal> {
    let name = &user.name;
    if user.second_factor.is_some() {
        let used = panel.kept.use_code(name, &code.0, panel.now().date);
        match used.map_err(|error| unavailable(&error))? {
            Used::Code => {}
            Used::Recovery => panel.note(Some(name), Some(from), Act::RecoveryUsed),
            Used::Wrong => {
                panel.note(Some(name), Some(from), Act::CodeRefused);
                return Err(wrong_code());
            }
            Used::Lost => {
                attempt.take_back();
                return Err(lost_factor());
            }
        }
    }
    attempt.succeeded();
    Ok(())
}

/// Checks a passkey that a browser used, and returns whose it is and its id. With `only`, it has to be this person's.
fn check_passkey(
    panel: &Panel,
    good: &Good,
    host: &str,
    response: &Secret,
    from: IpAddr,
    only: Option<&UserName>,
) -> Result<(UserName, String), Refusal> {
    let (mut whose, now) = (None, panel.now());
    let mut checked = || -> Result<(UserName, String), Failed> {
        let site = Site::of(&good.state.platform, host)?;
        let (used, challenge) = passkey::Used::read(&response.0)?;
        let state = panel.ceremonies.take_use(challenge, now.steady).ok_or(Refused::Challenge)?;
        let id = used.id();
        let of_user = |user: &&User| only.is_none_or(|only| user.name == *only);
        let users = good.state.users.values().map(|user| &**user).filter(of_user);
        let mut held = users.flat_map(|user| user.passkeys.iter().map(move |passkey| (user, passkey)));
        let (user, passkey) = held.find(|(_, passkey)| passkey.id() == id).ok_or(Refused::Unknown)?;
        whose = Some(user.name.clone());
        panel.kept.change(&user.name, |record| {
            let before = record.passkeys.get(&id).copied();
            let after = site.used(state, &used, passkey, &user.name, before)?;
            record.passkeys.insert(id.clone(), after);
            Ok::<_, Refused>(())
        })??;
        Ok((user.name.clone(), id))
    };
    match checked() {
        Ok(found) => Ok(found),
        Err(Failed::Store(error)) => Err(unavailable(&error)),
        Err(Failed::Refused(why)) => {
            tracing::info!(%why, user = whose.as_ref().map(tracing::field::display), "a passkey was refused");
            panel.note(whose.as_ref().or(only), Some(from), Act::PasskeyRefused);
            Err(wrong_passkey())
        }
    }
}

/// A passkey that wasn't taken.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] super::super::store::StoreError),
}
