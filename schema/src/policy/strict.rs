//! Findings of strict rules (`crate::strict`), told apart: what a change brings in, and what stood there before.

use std::collections::HashSet;

use crate::finding::{Finding, Severity};
use crate::state::State;

/// The findings of strict rules that a change brings in, as errors.
pub(super) fn refused_now(before: &State, after: &State) -> Vec<Finding> {
    let had: HashSet<(&str, &str)> =
        strict(before).map(|finding| (&*finding.path, &*finding.message)).collect();
    let new = strict(after).filter(|finding| !had.contains(&(&*finding.path, &*finding.message)));
    new.map(|finding| Finding { severity: Severity::Error, ..finding.clone() }).collect()
}

fn strict(state: &State) -> impl Iterator<Item = &Finding> {
    state.warnings.iter().filter(|finding| finding.is_strict)
}
