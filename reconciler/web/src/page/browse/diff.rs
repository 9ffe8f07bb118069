//! `/admin/state/diff`: what differs between two revisions, or what one commit changed.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{DiffSheet, StateDiff};
use minijinja::context;
use serde::Deserialize;

use super::trail::Revision;
use crate::app::App;
use crate::page;
use crate::page::address::Wishes;
use crate::page::words::{query, value};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Query of the page.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    page: Option<u32>,
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let Wanted { from, to, path, page } = wanted;
    let asked = StateDiff { from, to, path: path.clone(), page: page.unwrap_or(1).max(1) };
    let sheet = visitor.ask(&app, &asked).await?;
    let DiffSheet { from, to, diffs } = &sheet;
    let from = from.map(|from| from.to_string()).unwrap_or_default();
    let base = format!("/admin/state/diff?from={from}&to={}&path={}&", to.revision, query(&path));
    let context = context! {
        tab => "state",
        from,
        to => to.revision.to_string(),
        path,
        diffs => value(&diffs.rows),
        page => diffs.page,
        pages => diffs.pages,
        all => diffs.all,
        base,
        rev => value(Revision::of(to)),
    };
    Ok(page::render(&app, &visitor, "state_diff.html", context))
}
