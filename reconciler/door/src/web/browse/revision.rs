//! Revisions as somebody names them: by an id or its first digits, among those that lead to `main`.

use berth_fault::{Fault as _, Kind};
use berth_repo::{Error, Revision, StateRepo};
use berth_wire::web::{At, Refusal};

use super::super::panel::Panel;
use super::super::past::Made;
use super::super::refusals::{bad, no_good_state, not_found, unavailable};

/// Digits that a short id has at least.
const LEAST: usize = 4;
/// Digits of an id.
const ALL: usize = 40;

/// Finds the revision that a text names; the tip of `main` where it names none.
pub(super) fn find(repo: &StateRepo, named: &str) -> Result<At, Refusal> {
    let tip = repo.head().map_err(|error| unavailable(&error))?.ok_or_else(no_good_state)?;
    let named = named.trim().to_ascii_lowercase();
    if named.is_empty() {
        return Ok(At { revision: tip, is_tip: true });
    }
    let is_id = named.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id || !(LEAST..=ALL).contains(&named.len()) {
        return Err(bad(
            "That is no revision.",
            "Write a commit’s id, or the first digits of it: four at least, as `git log --oneline main` shows them.",
        ));
    }
    let revision = repo.resolve(&named).map_err(|error| match error {
        Error::Ambiguous { .. } => {
            bad("More than one object begins with these digits.", "Write more digits of the id.")
        }
        error if error.kind() == Kind::User => not_found(),
        Error::Resolve { .. } => not_found(),
        error => unavailable(&error),
    })?;
    // A proposal, or what nothing leads to any more, isn't part of the state's history.
    match repo.is_ancestor(&revision, &tip) {
        Ok(true) => Ok(At { revision, is_tip: revision == tip }),
        Ok(false) => Err(not_found()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Shows `look` the commits up to a revision that `main` was at, the youngest first, until it has seen enough.
pub(super) fn past(
    panel: &Panel,
    repo: &StateRepo,
    at: &Revision,
    mut look: impl FnMut(&std::sync::Arc<Made>) -> bool,
) -> Result<(), Refusal> {
    let mut is_past = false;
    let looked = panel.past.look(repo, |made| {
        is_past = is_past || made.revision == *at;
        is_past && look(made)
    });
    looked.map(drop).map_err(|error| unavailable(&error))
}
