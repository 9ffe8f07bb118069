//! Signing in and out.

use berth_schema::name::UserName;
use berth_wire::web::{Done, Entered, Refusal, SignIn, SignOut, SignOutEverywhere};

use super::audit::Act;
use super::factors::enter;
use super::panel::{Asker, Panel};
use super::refusals::{busy, too_many, unavailable, wrong_password};
use super::tokens::Place;

/// Signs somebody in. A name that is nobody's, somebody without a password and a wrong password are one answer, and cost the
/// same. Whoever has a second factor isn't in yet.
pub(crate) fn sign_in(panel: &Panel, asked: SignIn) -> Result<Entered, Refusal> {
    let SignIn { user: typed, password, from, browser, is_short } = asked;
    let good = panel.good()?;
    // What is no name is counted for its source alone: it may be anything, a password even.
    let name: Option<UserName> = typed.parse().ok();
    let account = name.as_ref().map(UserName::as_str);
    let attempt = panel.throttle.begin(from, account, panel.now().steady).map_err(too_many)?;
    let user = name.as_ref().and_then(|name| good.state.users.get(name));
    let hash = user.and_then(|user| user.password_hash.as_deref());
    let tried = hash.unwrap_or_else(|| panel.stand_in(&good.state, &typed));
    let matched = match panel.checks.pass(from, || berth_password::matches(&password.0, tried)) {
        Ok(matched) => matched,
        Err(_) => {
            attempt.take_back();
            return Err(busy());
        }
    };
    let (Some(user), Some(_), true) = (user, hash, matched) else {
        panel.note(user.map(|user| &user.name), Some(from), Act::SignInRefused);
        return Err(wrong_password());
    };
    match user.second_factor {
        None => attempt.succeeded(),
        // Wrong codes still count: whoever knows the password must not have their guesses forgiven by it.
        Some(_) => attempt.take_back(),
    }
    enter(panel, &good, user, Place { is_short, ..Place::of(from, &browser) })
}

/// Ends the token.
pub(crate) fn sign_out(panel: &Panel, asker: &Asker, _: SignOut) -> Result<Done, Refusal> {
    panel.tokens.end(&asker.name, asker.token).map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::SignOut);
    Ok(Done)
}

/// Ends the person's other tokens.
pub(crate) fn sign_out_everywhere(
    panel: &Panel,
    asker: &Asker,
    _: SignOutEverywhere,
) -> Result<Done, Refusal> {
    panel.tokens.end_others(&asker.name, Some(asker.token)).map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::SignOutEverywhere);
    Ok(Done)
}
