//! Blame: which commit each line of a file is from, as git tells it.

use std::sync::Arc;
use std::time::Duration;

use berth_judge::form::commit_line;
use berth_repo::{Blamed, Revision};
use berth_wire::web::{BlamePart, Refusal, StateBlame};

use super::super::panel::{Asker, Panel};
use super::super::past::Made;
use super::super::read::line;
use super::super::refusals::{failed, not_found, unavailable};
use super::lines::{Read, page, read};
use super::revision::{find, past};

/// Time that git has.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells which commits the lines of a page are from.
pub(crate) fn blame(panel: &Panel, asker: &Asker, asked: StateBlame) -> Result<Vec<BlamePart>, Refusal> {
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let at = find(&repo, &asked.at)?;
    let Some(Read::Text { text, .. }) = read(&repo, &panel.marks, &at.revision, &asked.path)? else {
        return Err(not_found());
    };
    let (lines, first) = page(&text, asked.page);
    if lines.rows.is_empty() {
        return Ok(Vec::new());
    }
    let part = (at.revision, asked.path.clone(), first);
    let blamed = match panel.blames.find(&part) {
        Some(blamed) => blamed,
        None => {
            let until = first + lines.rows.len() - 1;
            let found = repo.blame(&at.revision, &asked.path, (first, until), PATIENCE);
            let found: Arc<[Blamed]> = found
                .map_err(|error| {
                    tracing::warn!(
                        error = berth_fault::chain(&error),
                        path = asked.path,
                        "git can't blame a file"
                    );
                    failed("The commits of these lines can’t be told.")
                })?
                .into();
            panel.blames.keep(part, &found);
            found
        }
    };
    let mut wanted: Vec<Revision> = blamed.iter().map(|blamed| blamed.revision).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut known: Vec<Arc<Made>> = Vec::new();
    past(panel, &repo, &at.revision, |made| {
        if wanted.binary_search(&made.revision).is_ok() {
            known.push(Arc::clone(made));
        }
        known.len() == wanted.len()
    })?;
    let told = panel.outcomes.told(&repo).map_err(|error| unavailable(&error))?;
    let sight = asker.sight();
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut parts = Vec::new();
    for blamed in blamed.iter() {
        let line = match known.iter().find(|made| made.revision == blamed.revision) {
            Some(made) => line(&told, &sight, made)?,
            // It came by a merge, or is older than what is kept of the past.
            None => {
                let commit = repo.commit_info(&blamed.revision).map_err(|error| unavailable(&error))?;
                commit_line(commit, Vec::new())
            }
        };
        parts.push(BlamePart { first: number(blamed.first), lines: number(blamed.lines), line });
    }
    Ok(parts)
}
