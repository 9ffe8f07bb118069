//! Questions that set a second factor up and take it away. Both are commits of the person's own, so that the state says who has
//! one, and both end every token that stood for the person before.

use std::net::IpAddr;

use berth_judge::form::Via;
use berth_schema::edit::UserEdit;
use berth_schema::name::UserName;
use berth_schema::user::{SecondFactor, User};
use berth_wire::web::{
    BeginTotp, Done, FactorSheet, Factors, LiftFactor, NewRecovery, PasskeyCard, Refusal, RemoveTotp, Secret,
    SetTotp, SignedIn, Totp, TotpSecret, TotpSet,
};

use super::super::audit::Act;
use super::super::entry::begin_anew;
use super::super::panel::{Asker, Panel};
use super::super::read::provider_card;
use super::super::refusals::{bad, not_found, signed_out, too_many, unavailable, wrong_code};
use super::super::secret::Digest;
use super::super::tokens::Place;
use super::super::user_file::{Writing, put, set_here};
use super::codes::{self, Typed};
use super::prove::{prove, prove_code};

/// Tells in which ways somebody gets in: oneself, or anybody to an admin.
pub(crate) fn factors(panel: &Panel, asker: &Asker, asked: Factors) -> Result<FactorSheet, Refusal> {
    let may = asker.is_admin() || asked.name == asker.name;
    let user = asker.state().users.get(&asked.name).filter(|_| may).ok_or_else(not_found)?;
    let card = |passkey: &berth_schema::user::Passkey| PasskeyCard {
        id: passkey.id().to_owned(),
        name: passkey.name().to_owned(),
    };
    let platform = &asker.state().platform;
    let oidc = platform.panel.as_ref().and_then(|panel| panel.oidc.as_ref());
    Ok(FactorSheet {
        totp: totp(panel, user)?,
        passkeys: user.passkeys.iter().map(card).collect(),
        accounts: user.oidc.clone(),
        provider: provider_card(platform),
        has_account: oidc.is_some_and(|oidc| oidc.account_of(user).is_some()),
        only_way: oidc.and_then(|oidc| oidc.only_way_of(user)).cloned(),
        has_password: user.password_hash.is_some(),
        is_fresh: asker.is_fresh,
        has_panel: platform.panel.is_some() && platform.remote.is_none(),
    })
}

fn totp(panel: &Panel, user: &User) -> Result<Totp, Refusal> {
    if user.second_factor.is_none() {
        return Ok(Totp::Off);
    }
    let recovery = panel.kept.recovery(&user.name).map_err(|error| unavailable(&error))?;
    Ok(recovery.map_or(Totp::Lost, |recovery| Totp::On { recovery }))
}

/// Shows a secret for an app.
pub(crate) fn begin_totp(panel: &Panel, asker: &Asker, _: BeginTotp) -> Result<TotpSecret, Refusal> {
    asker.must_be_fresh()?;
    set_here(asker.state(), &asker.name, "second_factor")?;
    let user = asker.state().users.get(&asker.name).ok_or_else(signed_out)?;
    if let Totp::On { .. } = totp(panel, user)? {
        return Err(bad("You have a second factor already.", "Remove it first, if you want another."));
    }
    let secret = panel
        .begun
        .secret(&asker.name, asker.token, panel.now().steady)
        .map_err(|error| unavailable(&error))?;
    let uri = codes::uri(asker.state().platform.domain.as_str(), asker.name.as_str(), &secret);
    Ok(TotpSecret { secret: Secret(secret), uri: Secret(uri) })
}

/// Has codes asked for from now on, once the first one has come.
pub(crate) fn set_totp(panel: &Panel, asker: &Asker, asked: SetTotp) -> Result<TotpSet, Refusal> {
    asker.must_be_fresh()?;
    let (name, now) = (&asker.name, panel.now());
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    if let Totp::On { .. } = totp(panel, user)? {
        return Err(bad("You have a second factor already.", "Remove it first, if you want another."));
    }
    let secret = panel.begun.of(name, asker.token, now.steady).ok_or_else(|| {
        bad("The set-up has taken too long, so it is over.", "Begin again: the app needs the new secret.")
    })?;
    let attempt = panel.throttle.begin(asked.from, Some(name.as_str()), now.steady).map_err(too_many)?;
    let step = match Typed::read(&asked.code.0) {
        Typed::Code(code) => codes::step_of(&secret, code, now.date, None),
        Typed::Recovery(_) => None,
    };
    let step = step.ok_or_else(wrong_code)?;
    attempt.succeeded();
    // The secret first: a line without a secret would lock the person out.
    let recovery = panel.kept.set(name, &secret, step).map_err(|error| unavailable(&error))?;
    let on = |_: &User| vec![UserEdit::SecondFactor(Some(SecondFactor::Totp))];
    let writing = Writing {
        of: name,
        by: name,
        via: Via::Panel,
        standing: Digest::of_standing(user),
        summary: "second factor set",
        knows: false,
        edits: &on,
    };
    if let Err(not_set) = put(panel, &writing) {
        if user.second_factor.is_none() {
            panel.kept.forget(name).map_err(|error| unavailable(&error))?;
        }
        return Err(not_set.or(signed_out));
    }
    panel.begun.end(name);
    panel.note(Some(name), Some(asked.from), Act::SetFactor);
    let signed_in = begin_anew(panel, name, place(asker, asked.from, &asked.browser))?;
    Ok(TotpSet { signed_in, recovery: recovery.into_iter().map(Secret).collect() })
}

/// Takes one's own second factor away.
pub(crate) fn remove_totp(panel: &Panel, asker: &Asker, asked: RemoveTotp) -> Result<SignedIn, Refusal> {
    let name = &asker.name;
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    if user.second_factor.is_none() {
        return Err(bad("You have no second factor.", "There is nothing to remove."));
    }
    set_here(asker.state(), name, "second_factor")?;
    match user.password_hash {
        Some(_) => prove(panel, asker, &asked.password, &asked.code, asked.from)?,
        None => {
            asker.must_be_fresh()?;
            let begun = panel.throttle.begin(asked.from, Some(name.as_str()), panel.now().steady);
            prove_code(panel, user, &asked.code, asked.from, begun.map_err(too_many)?)?;
        }
    }
    lift(panel, asker, name)?;
    panel.note(Some(name), Some(asked.from), Act::RemoveFactor);
    begin_anew(panel, name, place(asker, asked.from, &asked.browser))
}

/// Place of a sign-in that takes the place of the asker's: it ends with the same means.
fn place(asker: &Asker, from: IpAddr, browser: &str) -> Place {
    Place { means: asker.means.clone(), ..Place::of(from, browser) }
}

/// Makes new recovery codes.
pub(crate) fn new_recovery(panel: &Panel, asker: &Asker, _: NewRecovery) -> Result<Vec<Secret>, Refusal> {
    asker.must_be_fresh()?;
    let user = asker.state().users.get(&asker.name).ok_or_else(signed_out)?;
    let renewed = match totp(panel, user)? {
        Totp::On { .. } => panel.kept.renew(&asker.name).map_err(|error| unavailable(&error))?,
        Totp::Off | Totp::Lost => None,
    };
    let codes = renewed.ok_or_else(|| bad("You have no second factor.", "Set one up first."))?;
    panel.note(Some(&asker.name), None, Act::NewRecovery);
    Ok(codes.into_iter().map(Secret).collect())
}

/// Takes somebody's second factor away, as an admin.
pub(crate) fn lift_factor(panel: &Panel, asker: &Asker, asked: LiftFactor) -> Result<Done, Refusal> {
    asker.must_be_fresh()?;
    let user = asker.state().users.get(&asked.user).ok_or_else(not_found)?;
    if user.second_factor.is_none() {
        let message = format!("`{}` has no second factor.", user.name);
        return Err(bad(message, "There is nothing to remove."));
    }
    set_here(asker.state(), &asked.user, "second_factor")?;
    lift(panel, asker, &asked.user)?;
    panel.tokens.end_others(&asked.user, None).map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::LiftFactor { user: &asked.user });
    Ok(Done)
}

/// Takes the line out of somebody's file, and then the secret out of the door's.
fn lift(panel: &Panel, asker: &Asker, of: &UserName) -> Result<(), Refusal> {
    let user = asker.state().users.get(of).ok_or_else(not_found)?;
    let off = |_: &User| vec![UserEdit::SecondFactor(None)];
    let writing = Writing {
        of,
        by: &asker.name,
        via: Via::Panel,
        standing: Digest::of_standing(user),
        summary: "second factor removed",
        knows: false,
        edits: &off,
    };
    put(panel, &writing).map_err(|not_set| not_set.or(not_found))?;
    panel.kept.forget(of).map_err(|error| unavailable(&error))
}
