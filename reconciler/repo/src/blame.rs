//! Blame: which commit a file's lines are from, as git tells it, within a time.

use std::time::Duration;

use crate::git::{Git, GitError};
use crate::{Revision, StateRepo};

/// Lines that one commit wrote, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blamed {
    /// The first of them, from 1.
    pub first: usize,
    /// Their number.
    pub lines: usize,
    /// The commit, one that `main` was at.
    pub revision: Revision,
}

impl StateRepo {
    /// Finds the commits that lines of a file are from, among those that lead to `revision` by first parents. The lines are
    /// counted from 1, and both are included. Git is ended if it takes longer than `patience`.
    pub fn blame(
        &self,
        revision: &Revision,
        path: &str,
        lines: (usize, usize),
        patience: Duration,
    ) -> Result<Vec<Blamed>, GitError> {
        // Nothing of the repository's own settings says which commits are passed over.
        let git = Git::at(self.git_dir(), patience).config("blame.ignoreRevsFile", "");
        let (range, revision) = (format!("{},{}", lines.0, lines.1), revision.to_string());
        let arguments =
            ["--incremental", "--first-parent", "--no-textconv", "-L", &range, &revision, "--", path];
        let answer = git.run("blame", arguments)?;
        answer.ended.expect_success()?;
        let mut found: Vec<Blamed> =
            String::from_utf8_lossy(&answer.output).lines().filter_map(group).collect();
        found.sort_by_key(|blamed| blamed.first);
        Ok(found)
    }
}

/// Reads the first line of a group: the commit, the line there, the line here, their number. What else git tells begins with a word.
fn group(line: &str) -> Option<Blamed> {
    let mut parts = line.split(' ');
    let revision = parts.next()?.parse().ok()?;
    let (_, first, lines) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Blamed { first, lines, revision })
}
