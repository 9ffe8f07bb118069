//! `/admin/servers`: the servers of everybody.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::Servers;
use minijinja::context;

use super::address::Wishes;
use super::home::{Listed, Row, Wanted};
use super::state::Heard;
use super::stream;
use super::words::{query, value};
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

fn question(wanted: &Wanted) -> Servers {
    Servers { search: wanted.search.trim().to_owned(), everybody: true, page: wanted.page() }
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let list = visitor.ask(&app, &question(&wanted)).await?;
    let world = app.live.now();
    let search = wanted.search.trim();
    let context = context! {
        tab => "servers",
        search,
        base => base("/admin/servers", search),
        rows => value(Row::of(&world, &list.rows)),
        list => value((list.page, list.pages, list.all)),
        page => list.page,
        pages => list.pages,
        all => list.all,
        heard => value(Heard::of(&world)),
        events => format!("{}page={}", base("/admin/servers/events", search), list.page),
    };
    Ok(page::render(&app, &visitor, "servers.html", context))
}

/// A path with its search, to which a page's number may be added.
pub(crate) fn base(path: &str, search: &str) -> String {
    match search {
        "" => format!("{path}?"),
        search => format!("{path}?search={}&", query(search)),
    }
}

pub(crate) async fn events(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    stream::answer(app, visitor, Listed { question: question(&wanted), cards: Vec::new() }).await
}
