//! Compare-and-swap: a commit becomes the tip of `main` only if `main` is still where its writer saw it.

use std::thread;
use std::time::{Duration, Instant};

use berth_host::{Waits, critical};
use git2::{ErrorCode, Oid};

use crate::oid::{oid, revision_of};
use crate::state_repo::Lifetime;
use crate::tree_edit::Changes;
use crate::{Edit, Error, MAIN, Revision, StateRepo, Words, durable};

/// A ref is locked for the time of one small file; a lock that stands this long is a dead writer's.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

impl StateRepo {
    /// Commits `edits` on top of `base` and moves `main` there, unless `main` is elsewhere by now: then nothing changes
    /// and the error says where it is. `base` is `None` for the first commit of all. Edits that change nothing make no
    /// commit and return `base`.
    pub fn commit(
        &self,
        base: Option<&Revision>,
        edits: &[Edit],
        words: &Words<'_>,
    ) -> Result<Revision, Error> {
        // Most lost races end here, before anything is written. The one that counts is in `move_main`.
        self.expect(base)?;
        let revision = self.write(base, edits, words)?;
        if Some(&revision) == base {
            return Ok(revision);
        }
        // git keeps the same first words in its own log of a ref.
        let kind = if base.is_some() { "commit" } else { "commit (initial)" };
        let log = format!("{kind}: {}", words.message.lines().next().unwrap_or_default());
        let _section = critical::enter();
        self.move_main(base, revision, &log)?;
        durable::reference(self.repository.commondir(), MAIN)?;
        tracing::info!(%revision, author = words.author.name, "committed to main");
        Ok(revision)
    }

    /// Commits `edits` on top of `base` without moving any ref there. Edits that change nothing make no commit and return
    /// `base`.
    pub fn write(
        &self,
        base: Option<&Revision>,
        edits: &[Edit],
        words: &Words<'_>,
    ) -> Result<Revision, Error> {
        let _owner = self.as_owner()?;
        let (author, committer) = (words.author.to_git()?, words.committer.to_git()?);
        let changes = Changes::of(edits)?;
        let parent = match base {
            Some(base) => {
                let read =
                    self.repository.find_commit(oid(base)).and_then(|commit| Ok((commit.tree()?, commit)));
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
        let id = self
            .repository
            .commit(None, &author, &committer, words.message, &tree, &parents)
            .map_err(failed)?;
        written.extend([new, id]);
        if self.lifetime == Lifetime::Lasting {
            durable::objects(self.repository.commondir(), &written)?;
        }
        Ok(revision_of(id))
    }

    pub(crate) fn move_main(&self, base: Option<&Revision>, to: Revision, log: &str) -> Result<(), Error> {
        let _owner = self.as_owner()?;
        // libgit2 takes the zero id for "must not exist", and compares while it holds the lock.
        let expected = base.map_or(Oid::ZERO_SHA1, oid);
        let start = Instant::now();
        let mut pauses = Waits::new(Duration::from_millis(1), Duration::from_millis(50));
        loop {
            match self.repository.reference_matching(MAIN, oid(to), true, expected, log) {
                Ok(_) => return Ok(()),
                Err(source) if source.code() == ErrorCode::Locked => {
                    if start.elapsed() > PATIENCE || critical::is_closing() {
                        return Err(Error::Locked { source });
                    }
                    thread::sleep(pauses.next_wait());
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
