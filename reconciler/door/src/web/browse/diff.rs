//! Differences between two revisions, with marks in place of secrets: where a secret has changed, its mark has.

use berth_judge::form::Marks;
use berth_repo::{Revision, StateRepo, unified};
use berth_wire::web::{DiffSheet, FileDiff, Page, Refusal, StateDiff};

use super::super::panel::{Asker, Panel};
use super::super::read::page;
use super::super::refusals::unavailable;
use super::lines::{Read, read};
use super::revision::find;

/// Lines of one file's difference that are shown.
const LINES: usize = 1000;

/// Compares two revisions, or a commit with the one before.
pub(crate) fn diff(panel: &Panel, _: &Asker, asked: StateDiff) -> Result<DiffSheet, Refusal> {
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let to = find(&repo, &asked.to)?;
    let from = match asked.from.trim() {
        "" => {
            let commit = repo.commit_info(&to.revision).map_err(|error| unavailable(&error))?;
            commit.parents.first().copied()
        }
        named => Some(find(&repo, named)?.revision),
    };
    let paths = match &from {
        Some(from) => repo.changed(from, &to.revision).map_err(|error| unavailable(&error))?,
        None => repo.paths(&to.revision, usize::MAX).map_err(|error| unavailable(&error))?.paths,
    };
    let paths: Vec<String> =
        paths.into_iter().filter(|path| asked.path.is_empty() || *path == asked.path).collect();
    let Page { rows, page, pages, all } = page(&paths, asked.page, |path| {
        let before = from.map(|from| shown(&repo, &panel.marks, &from, path)).transpose()?;
        let after = shown(&repo, &panel.marks, &to.revision, path)?;
        let lines = unified(&before.unwrap_or_default(), &after).map_err(|error| unavailable(&error))?;
        Ok(FileDiff { path: berth_schema::text::safe(path), lines: short(lines) })
    });
    let rows = rows.into_iter().collect::<Result<_, Refusal>>()?;
    Ok(DiffSheet { from, to, diffs: Page { rows, page, pages, all } })
}

/// A file as a difference shows it. What is no text is a line about it.
fn shown(repo: &StateRepo, marks: &Marks, revision: &Revision, path: &str) -> Result<String, Refusal> {
    Ok(match read(repo, marks, revision, path)? {
        None => String::new(),
        Some(Read::Text { text, .. }) => text,
        Some(Read::Binary { size }) => format!("(no text: {size} bytes)\n"),
        Some(Read::TooLarge { size }) => format!("(too large to be compared: {size} bytes)\n"),
        Some(Read::Closed { size }) => {
            format!("(a member’s file with mistakes, which isn’t shown: {size} bytes)\n")
        }
    })
}

fn short(mut lines: Vec<String>) -> Vec<String> {
    let all = lines.len();
    lines.truncate(LINES);
    if all > LINES {
        lines.push(format!("@@ {} lines more @@", all - LINES));
    }
    lines.into_iter().map(|line| line.replace('\t', "    ")).map(berth_schema::text::safe).collect()
}
