//! Combine: two lines of history become one, without a checkout. A merge or a revert is made as a commit that no ref leads
//! to; [`StateRepo::advance`] makes it count, and [`StateRepo::scratch`] lets it be looked at first and thrown away.

use std::fs;
use std::path::Path;

use git2::{ErrorCode, Index, Oid, Repository, RepositoryInitOptions, Tree};
use tempfile::TempDir;

use crate::source::Opening;
use crate::{Error, Revision, Signature, StateRepo, durable};

/// What came of putting two changes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Combined {
    /// This commit, which no ref leads to yet.
    Clean(Revision),
    /// Nothing: these files were changed by both, and nobody but a person can say which change holds.
    Conflicts(Vec<String>),
}

/// Who makes a commit, and what it says.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    /// Whose change it is.
    pub author: &'a Signature,
    /// Who puts it into the repo.
    pub committer: &'a Signature,
    /// The whole message.
    pub message: &'a str,
}

/// A repository that sees every object of another and whose own are gone when it is dropped. It has no refs.
pub struct Scratch {
    /// The repository.
    pub repo: StateRepo,
    // Dropped after the repository is.
    _folder: TempDir,
}

impl StateRepo {
    /// A place to try things out. Objects of a push that isn't accepted yet are seen in it too.
    pub fn scratch(&self) -> Result<Scratch, Error> {
        let folder = TempDir::with_prefix("berth-")
            .map_err(|source| Error::Scratch { path: std::env::temp_dir(), source })?;
        let path = folder.path().to_owned();
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false).initial_head("main");
        Repository::init_opts(&path, &options)
            .map_err(|source| Error::Init { path: path.clone(), source })?;
        let failed = |source| Error::Scratch { path: path.clone(), source };
        let mut alternates = Vec::new();
        let own = self.repository.commondir().join("objects");
        for seen in [Some(own.as_path()), self.quarantine()].into_iter().flatten() {
            let seen = std::path::absolute(seen).map_err(failed)?;
            alternates.extend_from_slice(seen.as_os_str().as_encoded_bytes());
            alternates.push(b'\n');
        }
        let info = path.join("objects/info");
        fs::create_dir_all(&info)
            .and_then(|()| fs::write(info.join("alternates"), alternates))
            .map_err(failed)?;
        let repo = Self::open_as(Opening { git_dir: path, quarantine: None })?;
        Ok(Scratch { repo, _folder: folder })
    }

    /// Merges `theirs` into `ours` by three-way merge.
    pub fn merge(&self, ours: &Revision, theirs: &Revision, words: &Words<'_>) -> Result<Combined, Error> {
        let failed = |source| Error::Combine { act: "merge", revision: *theirs, source };
        let (our, their) = (self.commit_of(ours)?, self.commit_of(theirs)?);
        let index = self.repository.merge_commits(&our, &their, None).map_err(failed)?;
        self.settle(index, &[&our, &their], words, failed)
    }

    /// Takes back what `revision` changed, on top of `tip`. Of a merge, what it brought to its first parent.
    pub fn revert(&self, revision: &Revision, tip: &Revision, words: &Words<'_>) -> Result<Combined, Error> {
        let failed = |source| Error::Combine { act: "revert", revision: *revision, source };
        let (undone, tip) = (self.commit_of(revision)?, self.commit_of(tip)?);
        let mainline = u32::from(undone.parent_count() > 1);
        let index = self.repository.revert_commit(&undone, &tip, mainline, None).map_err(failed)?;
        self.settle(index, &[&tip], words, failed)
    }

    fn settle(
        &self,
        mut index: Index,
        parents: &[&git2::Commit<'_>],
        words: &Words<'_>,
        failed: impl Fn(git2::Error) -> Error,
    ) -> Result<Combined, Error> {
        if index.has_conflicts() {
            let mut paths = Vec::new();
            for conflict in index.conflicts().map_err(&failed)? {
                let conflict = conflict.map_err(&failed)?;
                let sides = [conflict.our, conflict.their, conflict.ancestor];
                paths.extend(
                    sides
                        .into_iter()
                        .flatten()
                        .next()
                        .map(|side| String::from_utf8_lossy(&side.path).into_owned()),
                );
            }
            paths.sort();
            paths.dedup();
            return Ok(Combined::Conflicts(paths));
        }
        let (author, committer) = (words.author.to_git()?, words.committer.to_git()?);
        let tree = index.write_tree_to(&self.repository).map_err(&failed)?;
        let tree = self.repository.find_tree(tree).map_err(&failed)?;
        let id = self
            .repository
            .commit(None, &author, &committer, words.message, &tree, parents)
            .map_err(&failed)?;
        Ok(Combined::Clean(Revision(id)))
    }

    /// Moves `main` from `base` to `to`, which is built on it, unless `main` is elsewhere by now: then nothing changes and
    /// the error says where it is. `why` goes to git's own log of the ref.
    pub fn advance(&self, base: &Revision, to: &Revision, why: &str) -> Result<(), Error> {
        if !self.is_ancestor(base, to)? {
            return Err(Error::NotBuiltOn { base: *base, revision: *to });
        }
        let (before, after) = (self.commit_of(base)?, self.commit_of(to)?);
        let unreadable = |source| Error::ReadCommit { revision: *to, source };
        let mut written = vec![after.id()];
        let (old, new) = (before.tree().map_err(unreadable)?, after.tree().map_err(unreadable)?);
        self.differing(Some(&old), &new, &mut written).map_err(unreadable)?;
        durable::objects(self.repository.commondir(), &written)?;
        self.move_main(Some(base), *to, why)?;
        durable::reference(self.repository.commondir(), crate::MAIN)?;
        tracing::info!(revision = %to, "main advances");
        Ok(())
    }

    /// The objects of `new` that `old` doesn't have at the same place.
    fn differing(
        &self,
        old: Option<&Tree<'_>>,
        new: &Tree<'_>,
        found: &mut Vec<Oid>,
    ) -> Result<(), git2::Error> {
        found.push(new.id());
        for entry in new {
            let before = old.and_then(|old| old.get_name_bytes(entry.name_bytes()));
            if before.as_ref().is_some_and(|before| before.id() == entry.id()) {
                continue;
            }
            if entry.kind() == Some(git2::ObjectType::Tree) {
                let inside = before.filter(|before| before.kind() == entry.kind());
                let inside = inside.map(|before| self.repository.find_tree(before.id())).transpose()?;
                self.differing(inside.as_ref(), &self.repository.find_tree(entry.id())?, found)?;
            } else {
                found.push(entry.id());
            }
        }
        Ok(())
    }

    /// Where two lines of history part; `None` when they never were one.
    pub fn merge_base(&self, one: &Revision, other: &Revision) -> Result<Option<Revision>, Error> {
        match self.repository.merge_base(one.0, other.0) {
            Ok(id) => Ok(Some(Revision(id))),
            Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(Error::ReadCommit { revision: *other, source }),
        }
    }

    /// Whether `new` is `old`, or built on it.
    pub fn is_ancestor(&self, old: &Revision, new: &Revision) -> Result<bool, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *new, source };
        Ok(old == new || self.repository.graph_descendant_of(new.0, old.0).map_err(unreadable)?)
    }

    pub(crate) fn commit_of(&self, revision: &Revision) -> Result<git2::Commit<'_>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        self.repository.find_commit(revision.0).map_err(unreadable)
    }

    fn quarantine(&self) -> Option<&Path> {
        self.opening.quarantine.as_deref()
    }
}
