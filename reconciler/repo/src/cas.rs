//! Compare-and-swap: a commit becomes the tip of `main` only if `main` is still where its writer saw it.

use std::thread;
use std::time::{Duration, Instant};

use git2::{ErrorCode, Oid};

use crate::tree_edit::Changes;
use crate::{Error, MAIN, Revision, Signature, StateRepo, durable};

/// One file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Path from the root of the repo, with `/`.
    pub path: String,
    /// The whole new content; `None` removes the file.
    pub content: Option<Vec<u8>>,
}

impl Edit {
    /// Puts a file in place, new or changed.
    pub fn write(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: Some(content.into()) }
    }

    /// Takes a file away.
    pub fn remove(path: impl Into<String>) -> Self {
        Self { path: path.into(), content: None }
    }
}

/// A ref is locked for the time of one small file; a lock that stands this long is a dead writer's.
const PATIENCE: Duration = Duration::from_secs(5);

impl StateRepo {
    /// Commits `edits` on top of `base` and moves `main` there, unless `main` is elsewhere by now: then nothing changes
    /// and the error says where it is. `base` is `None` for the first commit of all. Edits that change nothing make no
    /// commit and return `base`.
    pub fn commit(
        &self,
        base: Option<&Revision>,
        edits: &[Edit],
        author: &Signature,
        committer: &Signature,
        message: &str,
    ) -> Result<Revision, Error> {
        // Most lost races end here, before anything is written. The one that counts is in `move_main`.
        self.expect(base)?;
        let revision = self.write(base, edits, author, committer, message)?;
        if Some(&revision) == base {
            return Ok(revision);
        }
        // git keeps the same first words in its own log of a ref.
        let kind = if base.is_some() { "commit" } else { "commit (initial)" };
        let log = format!("{kind}: {}", message.lines().next().unwrap_or_default());
        self.move_main(base, revision, &log)?;
        durable::reference(self.repository.commondir(), MAIN)?;
        tracing::info!(%revision, author = author.name, "committed to main");
        Ok(revision)
    }

    /// Commits `edits` on top of `base` without moving any ref there. Edits that change nothing make no commit and return
    /// `base`.
    pub fn write(
        &self,
        base: Option<&Revision>,
        edits: &[Edit],
        author: &Signature,
        committer: &Signature,
        message: &str,
    ) -> Result<Revision, Error> {
        let (author, committer) = (author.to_git()?, committer.to_git()?);
        let changes = Changes::of(edits)?;
        let parent = match base {
            Some(base) => {
                let read =
                    self.repository.find_commit(base.0).and_then(|commit| Ok((commit.tree()?, commit)));
                Some(read.map_err(|source| Error::ReadCommit { revision: *base, source })?)
            }
            None => None,
        };
        let failed = |source| Error::WriteObject { object: "the commit".to_owned(), source };
        let mut written = Vec::new();
        let tree = parent.as_ref().map(|(tree, _)| tree);
        let new = match changes.write(&self.repository, tree, "", &mut written)? {
            Some(id) => id,
            None => self.repository.treebuilder(None).and_then(|empty| empty.write()).map_err(failed)?,
        };
        if let (Some(base), Some(tree)) = (base, tree)
            && tree.id() == new
        {
            return Ok(*base);
        }
        let tree = self.repository.find_tree(new).map_err(failed)?;
        let parents: Vec<_> = parent.iter().map(|(_, commit)| commit).collect();
        let id =
            self.repository.commit(None, &author, &committer, message, &tree, &parents).map_err(failed)?;
        written.extend([new, id]);
        durable::objects(self.repository.commondir(), &written)?;
        Ok(Revision(id))
    }

    pub(crate) fn move_main(&self, base: Option<&Revision>, to: Revision, log: &str) -> Result<(), Error> {
        // libgit2 takes the zero id for "must not exist", and compares while it holds the lock.
        let expected = base.map_or(Oid::ZERO_SHA1, |base| base.0);
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            match self.repository.reference_matching(MAIN, to.0, true, expected, log) {
                Ok(_) => return Ok(()),
                Err(source) if source.code() == ErrorCode::Locked => {
                    if start.elapsed() > PATIENCE {
                        return Err(Error::Locked { source });
                    }
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Err(source) => {
                    self.expect(base)?;
                    return Err(Error::MoveMain { revision: to, source });
                }
            }
        }
    }

    fn expect(&self, base: Option<&Revision>) -> Result<(), Error> {
        let (expected, actual) = (base.copied(), self.head()?);
        match expected == actual {
            true => Ok(()),
            false => Err(Error::Moved { expected, actual }),
        }
    }
}
