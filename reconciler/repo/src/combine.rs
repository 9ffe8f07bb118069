//! Combine: two lines of history become one, without a checkout. A merge or a revert is made as a commit that no ref leads
//! to; [`StateRepo::advance`] makes it count, and [`StateRepo::scratch`] lets it be looked at first and thrown away.

use berth_host::critical;
use git2::{ErrorCode, Index, Oid, Tree};
use tempfile::TempDir;

use crate::oid::{oid, revision_of};
use crate::state_repo::Lifetime;
use crate::{CERTIFICATES, Error, IDS, Revision, Signature, StateRepo, durable};

/// The result of a merge or of a revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Combined {
    /// A commit that no ref leads to yet.
    Clean(Revision),
    /// The files that both sides changed. Only a person can say which change holds.
    Conflicts(Vec<String>),
}

/// Signatures and message of a commit.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    /// Author of the change.
    pub author: &'a Signature,
    /// Member or part of Berth that puts it into the repo.
    pub committer: &'a Signature,
    /// The whole message.
    pub message: &'a str,
}

/// A repository that sees every object of another and whose own are gone when it is dropped. It has no refs but those
/// of the registers.
pub struct Scratch {
    /// The repository.
    pub repo: StateRepo,
    // Dropped after the repository is.
    _folder: TempDir,
}

impl StateRepo {
    /// Makes a place to try things out, which sees the objects of a push that isn't accepted yet, too.
    pub fn scratch(&self) -> Result<Scratch, Error> {
        let folder = TempDir::with_prefix("berth-")
            .map_err(|source| Error::Scratch { path: std::env::temp_dir(), source })?;
        let repo = StateRepo { lifetime: Lifetime::Scratch, ..self.beside(folder.path())? };
        for register in [IDS, CERTIFICATES] {
            if let Some(revision) = self.find_reference(register)? {
                repo.mark(register, &revision)?;
            }
        }
        Ok(Scratch { repo, _folder: folder })
    }

    /// Merges `theirs` into `ours` by three-way merge.
    pub fn merge(&self, ours: &Revision, theirs: &Revision, words: &Words<'_>) -> Result<Combined, Error> {
        let failed = |source| Error::Combine { act: "merge", revision: *theirs, source };
        let (our, their) = (self.commit_of(ours)?, self.commit_of(theirs)?);
        let owner = self.as_owner()?;
        if let Some(tree) = self.merged_apart(&our, &their).map_err(failed)? {
            return self.committed(tree, &[&our, &their], words, failed);
        }
        drop(owner);
        let index = self.repository.merge_commits(&our, &their, None).map_err(failed)?;
        self.settle(index, &[&our, &their], words, failed)
    }

    /// Takes back the change of `revision`, on top of `tip`. The change of a merge is the one that it brought to its first
    /// parent.
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
        let _owner = self.as_owner()?;
        let tree = index.write_tree_to(&self.repository).map_err(&failed)?;
        self.committed(tree, parents, words, failed)
    }

    fn committed(
        &self,
        tree: Oid,
        parents: &[&git2::Commit<'_>],
        words: &Words<'_>,
        failed: impl Fn(git2::Error) -> Error,
    ) -> Result<Combined, Error> {
        let (author, committer) = (words.author.to_git()?, words.committer.to_git()?);
        let tree = self.repository.find_tree(tree).map_err(&failed)?;
        let id = self.repository.commit(None, &author, &committer, words.message, &tree, parents);
        Ok(Combined::Clean(revision_of(id.map_err(failed)?)))
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
        let _section = critical::enter();
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

    /// The commit at which two lines of history part; `None` when they never were one.
    pub fn merge_base(&self, one: &Revision, other: &Revision) -> Result<Option<Revision>, Error> {
        match self.repository.merge_base(oid(one), oid(other)) {
            Ok(id) => Ok(Some(revision_of(id))),
            Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(Error::ReadCommit { revision: *other, source }),
        }
    }

    /// Returns whether `new` is `old`, or built on it. A tag stands for its commit.
    pub fn is_ancestor(&self, old: &Revision, new: &Revision) -> Result<bool, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *new, source };
        let commit = |revision: &Revision| {
            let object = self.repository.find_object(oid(revision), None)?;
            Ok(object.peel_to_commit()?.id())
        };
        let (old, new) = (commit(old).map_err(unreadable)?, commit(new).map_err(unreadable)?);
        Ok(old == new || self.repository.graph_descendant_of(new, old).map_err(unreadable)?)
    }

    pub(crate) fn commit_of(&self, revision: &Revision) -> Result<git2::Commit<'_>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        self.repository.find_commit(oid(revision)).map_err(unreadable)
    }
}
