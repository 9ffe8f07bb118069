//! `/admin/state`: a folder of the state at a revision, or the lines of its files that hold a text.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{FoundLine, FoundSheet, Is, StateSearch, StateTree, TreeEntry, TreeSheet};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::trail::{Revision, in_address};
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
    rev: String,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    search: String,
    #[serde(default)]
    page: Option<u32>,
}

/// An entry as its template shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    entry: &'a TreeEntry,
    is_folder: bool,
    size: Option<u64>,
    /// Kind in a word, where that is neither a file nor a folder.
    word: Option<&'static str>,
    url: Option<String>,
}

impl<'a> Row<'a> {
    fn of(entry: &'a TreeEntry, revision: &Revision) -> Self {
        let (size, word, url) = match (entry.is, &entry.path) {
            (Is::Folder, Some(path)) => (None, None, Some(revision.folder(path))),
            (Is::File { size }, Some(path)) => (Some(size), None, Some(revision.file(path))),
            (Is::Link, _) => (None, Some("a symbolic link, which nobody follows"), None),
            (Is::Submodule, _) => (None, Some("a submodule, which nobody follows"), None),
            (Is::Folder | Is::File { .. }, None) => (None, Some("its name isn’t UTF-8"), None),
        };
        Self { entry, is_folder: entry.is == Is::Folder, size, word, url }
    }
}

/// A line that was found.
#[derive(Debug, Serialize)]
struct Hit<'a> {
    #[serde(flatten)]
    line: &'a FoundLine,
    url: String,
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    if !wanted.search.trim().is_empty() {
        return found(&app, &visitor, wanted).await;
    }
    let asked =
        StateTree { at: wanted.rev, folder: wanted.folder.clone(), page: wanted.page.unwrap_or(1).max(1) };
    let TreeSheet { at, made_by, entries } = visitor.ask(&app, &asked).await?;
    let (revision, folder) = (Revision::of(&at), wanted.folder.trim_matches('/'));
    let rows: Vec<Row<'_>> = entries.rows.iter().map(|entry| Row::of(entry, &revision)).collect();
    let base = match folder {
        "" => format!("/admin/state?{}", revision.query()),
        folder => format!("/admin/state?{}folder={}&", revision.query(), query(folder)),
    };
    let context = context! {
        tab => "state",
        folder,
        crumbs => value(revision.crumbs(folder)),
        rows => value(rows),
        made_by => value(made_by),
        base,
        page => entries.page,
        pages => entries.pages,
        all => entries.all,
        rev => value(&revision),
    };
    Ok(page::render(&app, &visitor, "state.html", context))
}

async fn found(app: &App, visitor: &Visitor, wanted: Wanted) -> Result<Response, Problem> {
    let asked = StateSearch { at: wanted.rev, text: wanted.search.clone() };
    let FoundSheet { at, lines, is_cut, unread } = visitor.ask(app, &asked).await?;
    let revision = Revision::of(&at);
    let hits = lines.iter().map(|line| {
        let path = in_address(&line.path);
        let url = match (line.number, line.page) {
            (0, _) => revision.file(&line.path),
            (number, page) => format!("/admin/state/file/{path}?{}page={page}#L{number}", revision.query()),
        };
        Hit { line, url }
    });
    let hits: Vec<Hit<'_>> = hits.collect();
    let context = context! {
        tab => "state",
        search => wanted.search.trim(),
        crumbs => value(revision.crumbs("")),
        hits => value(hits),
        is_cut, unread,
        rev => value(&revision),
    };
    Ok(page::render(app, visitor, "state_found.html", context))
}
