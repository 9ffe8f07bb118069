//! Places where somebody is signed in: the list, and the end of one or all.

use berth_schema::oidc::{Issuer, OidcAccount};
use berth_wire::web::{Done, EndSession, EndSessions, Refusal, SessionCard, Sessions};

use super::audit::Act;
use super::gate::source_text;
use super::panel::{Asker, Panel};
use super::refusals::{not_found, signed_out, unavailable};
use super::secret::Digest;

/// Characters of a token's digest that name it. The digest opens nothing.
const ID: usize = 16;

/// Lists where one is signed in.
pub(crate) fn sessions(panel: &Panel, asker: &Asker, _: Sessions) -> Result<Vec<SessionCard>, Refusal> {
    let user = asker.state().users.get(&asker.name).ok_or_else(signed_out)?;
    let list = panel.tokens.list(&asker.name, Digest::of_standing(user), panel.now().date);
    let card = |one: super::tokens::Held| {
        let named = |id: String| {
            let found = user.passkeys.iter().find(|passkey| passkey.id() == id);
            found.map_or_else(|| "one that is gone".to_owned(), |passkey| passkey.name().to_owned())
        };
        SessionCard {
            id: id(one.digest),
            made: one.made,
            used: one.used,
            from: one.place.from.map(source_text).unwrap_or_default(),
            browser: one.place.browser,
            passkey: one.place.means.passkey.map(named),
            provider: one.place.means.oidc.as_ref().map(host),
            is_here: one.digest == asker.token,
        }
    };
    Ok(list.into_iter().map(card).collect())
}

/// Signs the person out at one place.
pub(crate) fn end_session(panel: &Panel, asker: &Asker, asked: EndSession) -> Result<Done, Refusal> {
    let user = asker.state().users.get(&asker.name).ok_or_else(signed_out)?;
    let list = panel.tokens.list(&asker.name, Digest::of_standing(user), panel.now().date);
    let one = list.iter().find(|one| id(one.digest) == asked.id).ok_or_else(not_found)?;
    panel.tokens.end(&asker.name, one.digest).map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::EndSession);
    Ok(Done)
}

/// Signs somebody out everywhere, as an admin; oneself everywhere else.
pub(crate) fn end_sessions(panel: &Panel, asker: &Asker, asked: EndSessions) -> Result<Done, Refusal> {
    let user = asker.state().users.get(&asked.user).ok_or_else(not_found)?;
    let but = (user.name == asker.name).then_some(asker.token);
    panel.tokens.end_others(&user.name, but).map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::EndSessions { user: &user.name });
    Ok(Done)
}

/// Name of the host of an account's provider.
fn host(account: &OidcAccount) -> String {
    account.issuer().parse::<Issuer>().map(|issuer| issuer.host()).unwrap_or_default()
}

fn id(digest: Digest) -> String {
    digest.to_string().chars().take(ID).collect()
}
