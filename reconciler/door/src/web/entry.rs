//! Entry: the token that somebody gets who has proved who they are.

use berth_schema::name::UserName;
use berth_schema::user::User;
use berth_wire::web::{Refusal, SignedIn, Token};

use super::panel::Panel;
use super::read::person;
use super::refusals::{signed_out, unavailable};
use super::secret::Digest;
use super::tokens::Place;
use crate::members::Good;

/// Gives somebody a token.
pub(crate) fn give(panel: &Panel, good: &Good, user: &User, place: Place) -> Result<SignedIn, Refusal> {
    let given = panel.tokens.give(&user.name, Digest::of_standing(user), place, panel.now().date);
    let given = given.map_err(|error| unavailable(&error))?;
    Ok(SignedIn { token: Token::new(given.token), person: person(&good.state, user), until: given.until })
}

/// Ends whatever stood for somebody before, and signs them in.
pub(crate) fn begin_anew(panel: &Panel, name: &UserName, place: Place) -> Result<SignedIn, Refusal> {
    panel.tokens.end_others(name, None).map_err(|error| unavailable(&error))?;
    let good = panel.good()?;
    let user = good.state.users.get(name).ok_or_else(signed_out)?;
    give(panel, &good, user, place)
}
