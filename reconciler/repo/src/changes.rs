//! Changes: what differs between two revisions, and the commits between them. Reads only.

use std::path::Path;

use git2::{Diff, DiffOptions, Patch, Sort};
use serde::Serialize;

use crate::{CommitInfo, Error, Revision, StateRepo, commit_info};

/// How much of one file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Where, with `/`.
    pub path: String,
    /// Lines that are new.
    pub added: usize,
    /// Lines that are gone.
    pub removed: usize,
}

impl StateRepo {
    /// The paths of the files that differ between two revisions, sorted.
    pub fn changed(&self, old: &Revision, new: &Revision) -> Result<Vec<String>, Error> {
        let diff = self.diff(old, new)?;
        let mut paths: Vec<String> = diff.deltas().flat_map(|delta| of(&delta)).collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// What differs between two revisions, in lines, sorted by path.
    pub fn stat(&self, old: &Revision, new: &Revision) -> Result<Vec<FileChange>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *new, source };
        let diff = self.diff(old, new)?;
        let mut changes = Vec::new();
        for (at, delta) in diff.deltas().enumerate() {
            let patch = Patch::from_diff(&diff, at).map_err(unreadable)?;
            let lines = patch.as_ref().map(Patch::line_stats).transpose().map_err(unreadable)?;
            let (_, added, removed) = lines.unwrap_or_default();
            changes.extend(of(&delta).map(|path| FileChange { path, added, removed }));
        }
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(changes)
    }

    /// The commits that lead to `to` and not to `after`, the youngest first; `most` of them.
    pub fn commits(
        &self,
        to: &Revision,
        after: Option<&Revision>,
        most: usize,
    ) -> Result<Vec<CommitInfo>, Error> {
        self.walk(to, after, most, false)
    }

    /// What a branch pointed at: `to`, its first parent, and so on; `most` of them.
    pub fn first_parents(&self, to: &Revision, most: usize) -> Result<Vec<CommitInfo>, Error> {
        self.walk(to, None, most, true)
    }

    fn walk(
        &self,
        to: &Revision,
        after: Option<&Revision>,
        most: usize,
        first_parents: bool,
    ) -> Result<Vec<CommitInfo>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *to, source };
        let mut walk = self.repository.revwalk().map_err(unreadable)?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).map_err(unreadable)?;
        walk.push(to.0).map_err(unreadable)?;
        if first_parents {
            walk.simplify_first_parent().map_err(unreadable)?;
        }
        if let Some(after) = after {
            walk.hide(after.0).map_err(unreadable)?;
        }
        let mut commits = Vec::new();
        for id in walk.take(most) {
            commits.push(commit_info::read(&self.repository, &Revision(id.map_err(unreadable)?))?);
        }
        Ok(commits)
    }

    fn diff(&self, old: &Revision, new: &Revision) -> Result<Diff<'_>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *new, source };
        let tree = |revision| self.commit_of(revision)?.tree().map_err(unreadable);
        let (old, new) = (tree(old)?, tree(new)?);
        let mut options = DiffOptions::new();
        options.context_lines(0).max_size(crate::LARGEST_FILE as i64);
        self.repository.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options)).map_err(unreadable)
    }
}

fn of(delta: &git2::DiffDelta<'_>) -> Option<String> {
    let file = delta.new_file();
    let path = file.path_bytes().or_else(|| delta.old_file().path_bytes())?;
    Some(Path::new(&*String::from_utf8_lossy(path)).to_string_lossy().into_owned())
}
