//! `/wiki/history/{*path}`: what was done to a page, and the page as it was.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{History, Object};
use minijinja::context;
use serde::Deserialize;

use super::address::{Named, Wishes};
use super::words::{query, value};
use crate::app::App;
use crate::markdown::page_url;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Part of the list that is asked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    page: Option<u32>,
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(path): Named<String>,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let of = Some(Object::Doc(path.clone()));
    let list = visitor.ask(&app, &History { of, page: wanted.page.unwrap_or(1).max(1) }).await?;
    let context = context! {
        path => path.as_str(),
        url => page_url(&path),
        base => format!("/wiki/history/{}?", path.split('/').map(query).collect::<Vec<_>>().join("/")),
        list => value(&list),
    };
    Ok(page::render(&app, &visitor, "doc_history.html", context))
}
