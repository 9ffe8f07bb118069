//! Search through the files of a revision. A secret is found by nobody: the lines are searched as they are shown.

use std::time::{Duration, Instant};

use berth_wire::web::{FoundLine, FoundSheet, Refusal, StateSearch};

use super::super::panel::{Asker, Panel};
use super::super::refusals::{bad, unavailable};
use super::lines::{Read, excerpt, of, page_of};
use super::revision::find;

/// The most files that are looked through.
const FILES: usize = 50_000;
/// The most lines that are found, in all and in one file.
const LINES: usize = 200;
const LINES_EACH: usize = 20;
/// Time for the search.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of a line that are shown.
const SHOWN: usize = 200;
/// Characters of a text that is searched for.
const SHORTEST: usize = 2;
const LONGEST: usize = 200;

/// Searches.
pub(crate) fn search(panel: &Panel, _: &Asker, asked: StateSearch) -> Result<FoundSheet, Refusal> {
    let wanted = asked.text.trim().to_lowercase();
    if !(SHORTEST..=LONGEST).contains(&wanted.chars().count()) {
        return Err(bad(
            "That text is too short or too long to search for.",
            format!("Write {SHORTEST} to {LONGEST} characters."),
        ));
    }
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let at = find(&repo, &asked.at)?;
    let until = Instant::now() + PATIENCE;
    let all = repo.paths(&at.revision, FILES).map_err(|error| unavailable(&error))?;
    let files = repo.files(&at.revision).map_err(|error| unavailable(&error))?;
    let (mut lines, mut is_cut, mut unread) = (Vec::new(), all.is_cut, all.unnamed);
    for path in &all.paths {
        if lines.len() >= LINES || Instant::now() > until {
            is_cut = true;
            break;
        }
        if path.to_lowercase().contains(&wanted) {
            lines.push(FoundLine { path: path.clone(), number: 0, page: 1, text: String::new() });
        }
        let Some(plain) = files.read(path).map_err(|error| unavailable(&error))? else { continue };
        // Each file, also one that holds nothing of it: an answer or a time that depends on what is hidden would tell of it.
        match of(&panel.marks, path, plain) {
            Read::Text { text, .. } => is_cut |= found(path, &text, &wanted, &mut lines),
            Read::Binary { .. } | Read::TooLarge { .. } | Read::Closed { .. } => unread += 1,
        }
    }
    is_cut |= lines.len() > LINES;
    lines.truncate(LINES);
    Ok(FoundSheet { at, lines, is_cut, unread: u32::try_from(unread).unwrap_or(u32::MAX) })
}

/// Adds the lines of a text that hold what is wanted, and returns whether it has more of them.
fn found(path: &str, text: &str, wanted: &str, lines: &mut Vec<FoundLine>) -> bool {
    let mut hits = text.lines().enumerate().filter(|(_, line)| line.to_lowercase().contains(wanted));
    for (at, line) in hits.by_ref().take(LINES_EACH) {
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        lines.push(FoundLine {
            path: path.to_owned(),
            number,
            page: page_of(at + 1),
            text: excerpt(line, SHOWN),
        });
    }
    hits.next().is_some()
}
