//! One commit: its files before and after, as far as the person may see them.

use std::sync::Arc;

use berth_repo::{Revision, StateRepo, unified};
use berth_schema::view::on_page;
use berth_wire::web::{CommitRead, CommitSheet, FileDiff, Refusal};

use super::super::panel::{Asker, Panel};
use super::super::past::Made;
use super::super::refusals::{not_found, unavailable};
use super::history::line;

/// The most files of one commit that are compared.
const FILES: usize = 100;

/// Shows one commit.
pub(crate) fn commit(panel: &Panel, asker: &Asker, asked: CommitRead) -> Result<CommitSheet, Refusal> {
    let sight = asker.sight();
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let made = find(panel, &repo, &asked.revision)?.filter(|made| sight.sees(made)).ok_or_else(not_found)?;
    let mut diffs = Vec::new();
    for path in sight.of(&made).into_iter().take(FILES) {
        let before = made.parent.map(|parent| text(&repo, asker, &parent, path)).transpose()?.flatten();
        let after = text(&repo, asker, &made.revision, path)?;
        let lines = unified(&before.unwrap_or_default(), &after.unwrap_or_default());
        diffs.push(FileDiff { path: path.to_owned(), lines: lines.map_err(|error| unavailable(&error))? });
    }
    let told = panel.outcomes.told(&repo).map_err(|error| unavailable(&error))?;
    let line = line(&told, &sight, &made)?;
    let is_overtaken = match asked.attempted {
        Some(attempted) if attempted != made.revision => is_later(panel, &repo, &attempted, &made)?,
        _ => false,
    };
    Ok(CommitSheet { line, diffs, may_revert: asker.viewer().may_revert(&made), is_overtaken })
}

/// The commit of a revision that `main` was at.
pub(crate) fn find(
    panel: &Panel,
    repo: &StateRepo,
    revision: &Revision,
) -> Result<Option<Arc<Made>>, Refusal> {
    let mut found = None;
    let looked = panel.past.look(repo, |made| {
        if made.revision == *revision {
            found = Some(Arc::clone(made));
        }
        found.is_some()
    });
    looked.map_err(|error| unavailable(&error))?;
    Ok(found)
}

/// Returns whether `main` came to a revision after a commit, and so holds both.
fn is_later(panel: &Panel, repo: &StateRepo, revision: &Revision, than: &Made) -> Result<bool, Refusal> {
    let mut is_later = false;
    // The newest comes first.
    let looked = panel.past.look(repo, |made| {
        is_later = made.revision == *revision;
        is_later || made.revision == than.revision
    });
    looked.map_err(|error| unavailable(&error))?;
    Ok(is_later)
}

/// The text of a file at a revision, as the person may read it; `None` where it isn't there.
fn text(repo: &StateRepo, asker: &Asker, revision: &Revision, path: &str) -> Result<Option<String>, Refusal> {
    let content = repo.read(revision, path).map_err(|error| unavailable(&error))?;
    let reader = (!asker.is_admin()).then_some(&asker.name);
    Ok(content.and_then(|content| on_page(reader, path, &content)))
}
