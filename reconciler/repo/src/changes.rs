//! Changes between two revisions, and the commits between them. Reads only.

use std::path::Path;

use git2::{Diff, DiffOptions, ErrorCode, Oid, Patch, Sort};
use serde::Serialize;

use crate::oid::{oid, revision_of};
use crate::tree::differing;
use crate::{CommitInfo, Error, Revision, StateRepo, commit_info};

/// Number of lines that differ in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Path of the file, with `/`.
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

    /// Counts the lines that differ between two revisions, file by file, sorted by path.
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

    /// Lists the files that differ between two revisions, sorted by path, without counting their lines.
    pub fn uncounted(&self, old: &Revision, new: &Revision) -> Result<Vec<FileChange>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *new, source };
        let tree = |revision| self.commit_of(revision)?.tree().map_err(unreadable);
        let (old, new) = (tree(old)?, tree(new)?);
        let paths = differing(&self.repository, Some(&old), &new).map_err(unreadable)?;
        let paths = paths.into_iter().map(|path| String::from_utf8_lossy(&path).into_owned());
        Ok(paths.map(|path| FileChange { path, added: 0, removed: 0 }).collect())
    }

    /// The commits that lead to `to` and not to `after`, the youngest first; at most `most` of them.
    pub fn commits(
        &self,
        to: &Revision,
        after: Option<&Revision>,
        most: usize,
    ) -> Result<Vec<CommitInfo>, Error> {
        self.walk(to, after, most, false)
    }

    /// The commits that a branch pointed at: `to`, its first parent, and so on; at most `most` of them.
    pub fn first_parents(&self, to: &Revision, most: usize) -> Result<Vec<CommitInfo>, Error> {
        self.walk(to, None, most, true)
    }

    /// The commits of a branch that changed one file, as [`StateRepo::first_parents`] goes through it, the youngest first: at most
    /// `most` of them, among the last `within`.
    pub fn touching(
        &self,
        to: &Revision,
        path: &str,
        most: usize,
        within: usize,
    ) -> Result<Vec<CommitInfo>, Error> {
        let mut found = Vec::new();
        let mut revision = *to;
        let mut blob = self.blob_at(&revision, path)?;
        for _ in 0..within {
            if found.len() == most {
                break;
            }
            let commit = self.commit_of(&revision)?;
            let parent = commit.parent_ids().next().map(revision_of);
            let before = match &parent {
                Some(parent) => self.blob_at(parent, path)?,
                None => None,
            };
            if before != blob {
                found.push(commit_info::read(&self.repository, &revision)?);
            }
            let Some(parent) = parent else { break };
            (revision, blob) = (parent, before);
        }
        Ok(found)
    }

    fn blob_at(&self, revision: &Revision, path: &str) -> Result<Option<Oid>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let tree = self.commit_of(revision)?.tree().map_err(unreadable)?;
        match tree.get_path(Path::new(path)) {
            Ok(entry) => Ok(Some(entry.id())),
            Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(unreadable(source)),
        }
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
        walk.push(oid(to)).map_err(unreadable)?;
        if first_parents {
            walk.simplify_first_parent().map_err(unreadable)?;
        }
        if let Some(after) = after {
            walk.hide(oid(after)).map_err(unreadable)?;
        }
        let mut commits = Vec::new();
        for id in walk.take(most) {
            commits.push(commit_info::read(&self.repository, &revision_of(id.map_err(unreadable)?))?);
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

/// Returns the path of a file that differs.
pub(crate) fn of(delta: &git2::DiffDelta<'_>) -> Option<String> {
    let file = delta.new_file();
    let path = file.path_bytes().or_else(|| delta.old_file().path_bytes())?;
    Some(Path::new(&*String::from_utf8_lossy(path)).to_string_lossy().into_owned())
}
