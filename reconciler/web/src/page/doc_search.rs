//! `/docs/search`: a search over all pages of the wiki.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{DocFound, DocsSearch};
use minijinja::context;
use serde::Deserialize;

use super::address::Wishes;
use super::docs::Reader;
use super::words::value;
use crate::app::App;
use crate::markdown::page_url;
use crate::problem::Problem;

/// The longest words that are searched for, in bytes.
const LONGEST: usize = 200;

/// Words that are asked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    q: String,
}

pub(crate) async fn show(
    Of(app): Of<App>,
    reader: Reader,
    Wishes(Wanted { q }): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let words: String = q.trim().chars().take(LONGEST).collect();
    let found = reader.ask(&app, &DocsSearch { words: words.clone() }).await?;
    let row = |row: &DocFound| {
        context! { url => page_url(&row.page.path), ..value(row) }
    };
    let context = context! {
        words,
        rows => found.rows.iter().map(row).collect::<Vec<_>>(),
        all => found.all,
        searched => found.searched,
        left_out => found.left_out,
    };
    Ok(reader.render(&app, "doc_search.html", context))
}
