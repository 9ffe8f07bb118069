//! `/admin/users`: everybody.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{UserCard, Users};
use minijinja::context;
use serde::Serialize;

use super::address::Wishes;
use super::home::Wanted;
use super::servers::base;
use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Somebody in a list, with the ways in which they get in.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    #[serde(flatten)]
    card: &'a UserCard,
    ways: String,
}

impl<'a> Row<'a> {
    /// Row of somebody.
    pub(crate) fn of(card: &'a UserCard) -> Self {
        let keys = match card.keys {
            0 => None,
            1 => Some("1 key".to_owned()),
            keys => Some(format!("{keys} keys")),
        };
        let passkeys = match card.passkeys {
            0 => None,
            1 => Some("1 passkey".to_owned()),
            passkeys => Some(format!("{passkeys} passkeys")),
        };
        let password = if card.has_second_factor { "password and code" } else { "password" };
        let password = card.has_password.then(|| password.to_owned());
        let ways: Vec<String> = password.into_iter().chain(passkeys).chain(keys).collect();
        Self { card, ways: if ways.is_empty() { "no way yet".to_owned() } else { ways.join(", ") } }
    }
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let search = wanted.search.trim();
    let list = visitor.ask(&app, &Users { search: search.to_owned(), page: wanted.page() }).await?;
    let rows: Vec<_> = list.rows.iter().map(Row::of).collect();
    let context = context! {
        tab => "users",
        search,
        base => base("/admin/users", search),
        rows => value(rows),
        page => list.page,
        pages => list.pages,
        all => list.all,
    };
    Ok(page::render(&app, &visitor, "users.html", context))
}
