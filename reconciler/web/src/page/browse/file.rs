//! `/admin/state/file/{path}`: a file at a revision, line by line, and by a link the commits that the lines are from.

use std::collections::HashMap;

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{BlamePart, CommitLine, Content, FileSheet, StateBlame, StateFile};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::trail::{Revision, in_address};
use crate::app::App;
use crate::page;
use crate::page::address::{Named, Wishes};
use crate::page::words::{query, value};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Query of the page.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    rev: String,
    #[serde(default)]
    page: Option<u32>,
    /// Anything but nothing asks for the commits of the lines.
    #[serde(default)]
    blame: String,
}

/// A line as its template shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    number: u32,
    text: &'a str,
    /// The commit that it is from, at the first of its lines.
    from: Option<&'a CommitLine>,
    /// Set where another commit's lines begin.
    begins: bool,
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(path): Named<String>,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let page = wanted.page.unwrap_or(1).max(1);
    let asked = StateFile { at: wanted.rev.clone(), path: path.clone(), page };
    let FileSheet { at, size, content, made_by, may_edit } = visitor.ask(&app, &asked).await?;
    let revision = Revision::of(&at);
    let is_text = matches!(content, Content::Text { .. });
    let (mut blame, mut no_blame) = (None, None);
    if is_text && !wanted.blame.is_empty() {
        match visitor.ask(&app, &StateBlame { at: wanted.rev, path: path.clone(), page }).await {
            Ok(parts) => blame = Some(parts),
            // The file is there to read all the same.
            Err(problem) if problem.is_of_the_session() => return Err(problem),
            Err(problem) => no_blame = Some(problem.words()),
        }
    }
    let (lines, first, hidden) = match &content {
        Content::Text { lines, first, hidden } => (Some(lines), *first, *hidden),
        Content::Binary | Content::TooLarge | Content::Closed => (None, 1, 0),
    };
    let rows = rows(lines.map(|lines| lines.rows.as_slice()).unwrap_or_default(), first, blame.as_deref());
    let word = match &content {
        Content::Text { .. } => "text",
        Content::Binary => "binary",
        Content::TooLarge => "too-large",
        Content::Closed => "closed",
    };
    let (place, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let with_blame = if blame.is_some() { "blame=1&" } else { "" };
    let of_path = in_address(&path);
    let context = context! {
        tab => "state",
        path => path.as_str(),
        of_path => of_path.as_str(),
        in_query => query(&path),
        name,
        crumbs => value(revision.crumbs(place)),
        size,
        content => word,
        has_blame => blame.is_some(),
        no_blame,
        rows => value(rows),
        hidden,
        all => lines.map(|lines| lines.all),
        page => lines.map_or(1, |lines| lines.page),
        pages => lines.map_or(1, |lines| lines.pages),
        base => format!("/admin/state/file/{of_path}?{}{with_blame}", revision.query()),
        plain => format!("/admin/state/file/{of_path}?{}", revision.query()),
        made_by => value(made_by),
        may_edit,
        rev => value(&revision),
    };
    Ok(page::render(&app, &visitor, "state_file.html", context))
}

fn rows<'a>(lines: &'a [String], first: u32, blame: Option<&'a [BlamePart]>) -> Vec<Row<'a>> {
    let begins: HashMap<u32, &CommitLine> =
        blame.unwrap_or_default().iter().map(|part| (part.first, &part.line)).collect();
    let row = |(text, number): (&'a String, u32)| {
        let from = begins.get(&number).copied();
        Row { number, text: text.as_str(), from, begins: from.is_some() }
    };
    lines.iter().zip(first..).map(row).collect()
}
