//! Files: their lines, and the whole text for whoever edits it.

use std::sync::Arc;

use berth_repo::{Revision, StateRepo};
use berth_wire::web::{CommitLine, Content, FileSheet, Refusal, StateFile, StateText, TextSheet};

use super::super::panel::{Asker, Panel};
use super::super::read::line;
use super::super::refusals::{bad, no_good_state, not_found, unavailable};
use super::lines::{Read, page, read};
use super::revision::{find, past};

/// The longest text that a form edits, in bytes: a form takes 256 KiB, and what isn't ASCII takes three times its room on the way.
const EDITED: usize = 80 << 10;

/// Shows a file.
pub(crate) fn file(panel: &Panel, asker: &Asker, asked: StateFile) -> Result<FileSheet, Refusal> {
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let at = find(&repo, &asked.at)?;
    let read = read(&repo, &panel.marks, &at.revision, &asked.path)?.ok_or_else(not_found)?;
    let made_by = newest(panel, asker, &repo, &at.revision, &asked.path)?;
    let is_hosted = asker.state().platform.remote.as_ref().is_some_and(|remote| !remote.opens_pulls());
    let (content, size, is_short) = match read {
        Read::Text { text, hidden, size } => {
            let (lines, first) = page(&text, asked.page);
            (
                Content::Text { lines, first: number(first), hidden: number(hidden) },
                size as u64,
                size <= EDITED,
            )
        }
        Read::Binary { size } => (Content::Binary, size as u64, false),
        Read::TooLarge { size } => (Content::TooLarge, size, false),
        Read::Closed { size } => (Content::Closed, size as u64, false),
    };
    Ok(FileSheet { may_edit: is_short && at.is_tip && !is_hosted, at, size, content, made_by })
}

/// Gives the text of a file on `main`, for a form.
pub(crate) fn text(panel: &Panel, _: &Asker, asked: StateText) -> Result<TextSheet, Refusal> {
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let base = repo.head().map_err(|error| unavailable(&error))?.ok_or_else(no_good_state)?;
    if asked.path.is_empty() {
        return Ok(TextSheet { text: String::new(), base });
    }
    match read(&repo, &panel.marks, &base, &asked.path)?.ok_or_else(not_found)? {
        Read::Text { text, size, .. } if size <= EDITED => Ok(TextSheet { text, base }),
        Read::Text { .. } | Read::TooLarge { .. } => Err(bad(
            format!("This file is too long to edit it here: a form takes {} KiB.", EDITED >> 10),
            "Push it with git.",
        )),
        Read::Binary { .. } => Err(bad("This file is no text.", "Push it with git.")),
        Read::Closed { .. } => Err(bad(
            "This file has mistakes, so a secret could stand anywhere in it, and nothing of it is shown.",
            "Mend it with git, or remove it.",
        )),
    }
}

/// The commit that made a file what it is at a revision.
fn newest(
    panel: &Panel,
    asker: &Asker,
    repo: &StateRepo,
    at: &Revision,
    path: &str,
) -> Result<Option<CommitLine>, Refusal> {
    let mut found = None;
    past(panel, repo, at, |made| {
        if made.touches(path) {
            found = Some(Arc::clone(made));
        }
        found.is_some()
    })?;
    let told = panel.outcomes.told(repo).map_err(|error| unavailable(&error))?;
    found.map(|made| line(&told, &asker.sight(), &made)).transpose()
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
