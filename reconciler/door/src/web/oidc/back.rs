//! The end of a round: the code is exchanged, the provider's word checked, and the person found.

use berth_schema::name::UserName;
use berth_schema::oidc::{Join, Oidc};
use berth_schema::text::safe_line;
use berth_schema::user::User;
use berth_wire::web::{OidcBack, OidcOutcome, OidcStranger, Refusal, Secret};
use jiff::SignedDuration;

use super::super::audit::Act;
use super::super::factors::enter;
use super::super::means::Means;
use super::super::panel::Panel;
use super::super::refusals::{bad, forbidden, signed_out, too_many, unavailable};
use super::super::secret::Digest;
use super::super::tokens::Place;
use super::bind::bind;
use super::provider::{client, exchange, provider, settings};
use super::rounds::{Purpose, Round};
use super::word::{Untrue, Word, check};
use crate::members::Good;

/// Seconds by which the provider's clock and ours may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Ends a round.
pub(crate) fn oidc_back(panel: &Panel, asked: OidcBack) -> Result<OidcOutcome, Refusal> {
    let good = panel.good()?;
    let oidc = settings(&good.state)?;
    let attempt = panel.throttle.begin(asked.from, None, panel.now().steady).map_err(too_many)?;
    let round = panel.oidc.rounds.take(&asked.state.0, &asked.round.0, panel.now().steady);
    let round = round.filter(|round| round.client == client(oidc)).ok_or_else(dead_round)?;
    let word = match hear(panel, oidc, &round, &asked) {
        Ok(word) => word,
        Err(Unheard::Refusal(refusal)) => {
            attempt.take_back();
            return Err(refusal);
        }
        Err(Unheard::Untrue(why)) => {
            tracing::warn!(%why, "a word of the OpenID provider's was refused");
            panel.note(None, Some(asked.from), Act::ProviderRefused);
            return Err(untrue(oidc));
        }
    };
    attempt.take_back();
    match &round.purpose {
        Purpose::SignIn => sign_in(panel, &good, oidc, word, &asked),
        Purpose::Confirm { user, token } => {
            let person = holder(panel, &good, user, *token)?;
            if !person.oidc.contains(&word.account) {
                return Err(bad(
                    "That is another account than the one that you have bound.",
                    "Sign in there as yourself, and try once more.",
                ));
            }
            confirmed(oidc, &round, &word)?;
            seen(panel, person, &word)?;
            panel.tokens.refresh(user, *token, panel.now().date).map_err(|error| unavailable(&error))?;
            panel.note(Some(user), Some(asked.from), Act::Confirm);
            Ok(OidcOutcome::Confirmed)
        }
        Purpose::Bind { user, token } => {
            holder(panel, &good, user, *token)?;
            bind(panel, &good, user, &word.account)?;
            let after = panel.good()?;
            let person = after.state.users.get(user).ok_or_else(signed_out)?;
            seen(panel, person, &word)?;
            panel.note(Some(user), Some(asked.from), Act::BindAccount);
            Ok(OidcOutcome::Bound)
        }
    }
}

/// Nobody has been vouched for.
enum Unheard {
    Refusal(Refusal),
    Untrue(Untrue),
}

impl From<Refusal> for Unheard {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// Hears the provider's word for the person in the browser.
fn hear(panel: &Panel, oidc: &Oidc, round: &Round, asked: &OidcBack) -> Result<Word, Unheard> {
    let mut known = provider(panel, oidc, false)?;
    let names_itself = known.description.get("authorization_response_iss_parameter_supported");
    match asked.iss.as_deref() {
        Some(iss) if iss != oidc.issuer.as_str() => {
            return Err(Unheard::Untrue(Untrue::Unreadable(
                "another issuer sent the browser back".to_owned(),
            )));
        }
        None if names_itself.and_then(serde_json::Value::as_bool) == Some(true) => {
            return Err(Unheard::Untrue(Untrue::Unreadable(
                "nobody says which issuer sent the browser back".to_owned(),
            )));
        }
        _ => {}
    }
    let host = oidc.issuer.host();
    let code = match (&asked.error, &asked.code) {
        (None, Some(code)) if !code.0.is_empty() => code.clone(),
        (Some(error), _) if error == "access_denied" => {
            let message = format!("{host} didn't let you through, or you went no further there.");
            return Err(forbidden(message, "Begin again, or sign in another way.").into());
        }
        (error, _) => {
            let words = error.as_deref().map(|error| safe_line(error, 60)).unwrap_or_default();
            tracing::warn!(error = words, host, "the OpenID provider sent somebody back without a code");
            let message = format!("{host} sent you back without signing you in.");
            return Err(forbidden(message, "Begin again. If that doesn't help, tell {help}.").into());
        }
    };
    let token = exchange(panel, oidc, round, code)?;
    let now = panel.now().date;
    match check(&token.0, &known, oidc, round, now) {
        // The provider may have got new keys since.
        Err(Untrue::UnknownKey) => {
            known = provider(panel, oidc, true)?;
            check(&token.0, &known, oidc, round, now).map_err(Unheard::Untrue)
        }
        checked => checked.map_err(Unheard::Untrue),
    }
}

fn sign_in(
    panel: &Panel,
    good: &Good,
    oidc: &Oidc,
    word: Word,
    asked: &OidcBack,
) -> Result<OidcOutcome, Refusal> {
    let user = good.state.users.values().find(|user| user.oidc.contains(&word.account));
    let Some(user) = user else { return stranger(panel, good, oidc, word) };
    seen(panel, user, &word)?;
    let (means, is_old_proof) = (Means::account(&word.account), word.is_old(panel.now().date));
    let place = Place { means, is_old_proof, ..Place::of(asked.from, &asked.browser) };
    Ok(OidcOutcome::Entered { entered: enter(panel, good, user, place)? })
}

/// Somebody whom nobody here knows: they may join, or are told whom to ask.
fn stranger(panel: &Panel, good: &Good, oidc: &Oidc, word: Word) -> Result<OidcOutcome, Refusal> {
    let host = oidc.issuer.host();
    let unknown = format!("You have signed in at {host}, and nobody here has bound that account.");
    let ask = "If you are a member, sign in another way and bind it under Account. If you aren't, ask {help} to invite you.";
    if good.state.platform.remote.is_some() {
        return Err(forbidden(unknown, ask));
    }
    let at_once = match oidc.join {
        Join::Invite => return Err(forbidden(unknown, ask)),
        Join::Propose => false,
        Join::Allowed if oidc.lets_in(word.email.as_deref(), &word.groups) => true,
        Join::Allowed if word.is_unverified && !oidc.email_domains.is_empty() => {
            let message =
                format!("{unknown} {host} hasn't verified your address there, so it lets nobody in.");
            let hint = "Verify it there and sign in again, or ask {help} to invite you. If you are a member, sign in another way and bind \
                        the account under Account.";
            return Err(forbidden(message, hint));
        }
        Join::Allowed => {
            let message = format!("{unknown} It is none of those whose people may join by themselves.");
            return Err(forbidden(message, ask));
        }
    };
    let free = |name: &UserName| !good.state.users.contains_key(name);
    let name = word.called.as_deref().and_then(suggested).filter(free);
    let half = panel.oidc.strangers.give(word, panel.now().steady).map_err(|error| unavailable(&error))?;
    let name = name.map(|name| name.to_string()).unwrap_or_default();
    Ok(OidcOutcome::Stranger { stranger: OidcStranger { half: Secret(half), name, at_once } })
}

/// A name here that resembles the one at the provider.
fn suggested(called: &str) -> Option<UserName> {
    let name = called.split('@').next().unwrap_or_default().to_lowercase().replace(['.', '_', ' '], "-");
    name.trim_matches('-').parse().ok()
}

/// The person who began a round, if they are still signed in where they began it.
fn holder<'g>(panel: &Panel, good: &'g Good, user: &UserName, token: Digest) -> Result<&'g User, Refusal> {
    let found = panel.tokens.of_digest(user, token, panel.now().date).ok_or_else(signed_out)?;
    let user = good.state.users.get(user).map(|user| &**user).ok_or_else(signed_out)?;
    match found.standing.stands(&good.state, user, &found.means) {
        true => Ok(user),
        false => Err(signed_out()),
    }
}

/// Checks that the provider has asked the person anew.
fn confirmed(oidc: &Oidc, round: &Round, word: &Word) -> Result<(), Refusal> {
    let host = oidc.issuer.host();
    match word.proved {
        Some(proved) if proved >= round.began - SKEW => Ok(()),
        Some(_) => Err(forbidden(
            format!("{host} let you through without asking who you are."),
            "Sign out there and try again, or confirm it with your password or a passkey.",
        )),
        None => Err(forbidden(
            format!("{host} doesn't say when it asked who you are, so that confirms nothing."),
            "Confirm it with your password or a passkey, or sign out here and in again.",
        )),
    }
}

fn seen(panel: &Panel, user: &User, word: &Word) -> Result<(), Refusal> {
    panel.oidc.seen(user, &word.account, panel.now().date).map_err(|error| unavailable(&error))
}

/// The round is used, too old, none or another browser's.
fn dead_round() -> Refusal {
    bad(
        "This sign-in has been used, it has taken longer than ten minutes, or it was begun in another browser.",
        "Begin again, and stay in one browser.",
    )
}

fn untrue(oidc: &Oidc) -> Refusal {
    forbidden(
        format!("What {} said about you doesn't hold, so you aren't signed in.", oidc.issuer.host()),
        "Begin again. If that doesn't help, tell {help}: the platform's log says why.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_at_the_provider_suggests_one_here() {
        let of = |called: &str| suggested(called).map(|name| name.to_string());
        assert_eq!(of("Jonas.Petraitis@uni.example.org").as_deref(), Some("jonas-petraitis"));
        assert_eq!(of("_ann_").as_deref(), Some("ann"));
        assert_eq!((of(""), of("šarūnas"), of(&"a".repeat(99))), (None, None, None));
    }
}
