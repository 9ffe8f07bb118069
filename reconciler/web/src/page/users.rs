//! `/admin/users`: everybody.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{UserCard, Users, UsersOf};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::address::Wishes;
use super::servers::base;
use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Wishes behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    search: String,
    page: Option<u32>,
    /// Part of them: `away` or `unbound`.
    of: String,
}

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
        let provider = (card.accounts > 0).then(|| "the provider".to_owned());
        let ways: Vec<String> = password.into_iter().chain(passkeys).chain(provider).chain(keys).collect();
        Self { card, ways: if ways.is_empty() { "no way yet".to_owned() } else { ways.join(", ") } }
    }
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let search = wanted.search.trim();
    let has_provider = visitor.person.platform.provider.is_some();
    let of = match wanted.of.as_str() {
        "away" if has_provider => UsersOf::Away,
        "unbound" if has_provider => UsersOf::Unbound,
        _ => UsersOf::All,
    };
    let page = wanted.page.unwrap_or(1).max(1);
    let list = visitor.ask(&app, &Users { search: search.to_owned(), page, of }).await?;
    let rows: Vec<_> = list.rows.iter().map(Row::of).collect();
    let context = context! {
        tab => "users",
        search,
        of => value(of),
        has_provider,
        base => match of {
            UsersOf::All => base("/admin/users", search),
            UsersOf::Away => format!("{}of=away&", base("/admin/users", search)),
            UsersOf::Unbound => format!("{}of=unbound&", base("/admin/users", search)),
        },
        rows => value(rows),
        page => list.page,
        pages => list.pages,
        all => list.all,
    };
    Ok(page::render(&app, &visitor, "users.html", context))
}
