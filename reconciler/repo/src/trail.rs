//! Trail: the revisions that `main` was at, each with the paths that it changed. Reads only, and only so far at once.

use git2::{Delta, DiffOptions};

use crate::changes::of;
use crate::oid::oid;
use crate::{CommitInfo, Error, Revision, StateRepo, commit_info};

/// A revision that a branch was at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The commit.
    pub commit: CommitInfo,
    /// Paths of the files that differ from its first parent, sorted.
    pub paths: Vec<String>,
    /// Those of them that are gone, sorted.
    pub removed: Vec<String>,
}

/// A part of a trail, the youngest step first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The steps.
    pub steps: Vec<Step>,
    /// The revision that comes next; `None` at the first commit of all.
    pub next: Option<Revision>,
}

impl StateRepo {
    /// Follows first parents from `from` on, which is the first step, for `most` steps. The step of `until` isn't taken; the
    /// trail ends there.
    pub fn trail(&self, from: &Revision, until: Option<&Revision>, most: usize) -> Result<Trail, Error> {
        let (mut steps, mut next) = (Vec::new(), Some(*from));
        while let Some(revision) = next.filter(|next| Some(next) != until && steps.len() < most) {
            let commit = commit_info::read(&self.repository, &revision)?;
            next = commit.parents.first().copied();
            let (paths, removed) = self.touched(&revision, next.as_ref())?;
            steps.push(Step { commit, paths, removed });
        }
        Ok(Trail { steps, next })
    }

    /// The paths of the files that a commit changed, and of those that it removed; all files where there was nothing before.
    fn touched(
        &self,
        revision: &Revision,
        parent: Option<&Revision>,
    ) -> Result<(Vec<String>, Vec<String>), Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let tree = |revision: &Revision| {
            self.repository.find_commit(oid(revision)).and_then(|commit| commit.tree()).map_err(unreadable)
        };
        let (old, new) = (parent.map(tree).transpose()?, tree(revision)?);
        let mut options = DiffOptions::new();
        options.skip_binary_check(true);
        let diff = self.repository.diff_tree_to_tree(old.as_ref(), Some(&new), Some(&mut options));
        let diff = diff.map_err(unreadable)?;
        let sorted = |mut paths: Vec<String>| {
            paths.sort();
            paths.dedup();
            paths
        };
        let removed = diff.deltas().filter(|delta| delta.status() == Delta::Deleted);
        let removed = removed.filter_map(|delta| of(&delta)).collect();
        Ok((sorted(diff.deltas().filter_map(|delta| of(&delta)).collect()), sorted(removed)))
    }
}
