//! Compare-and-swap: a commit becomes the tip of `main` only if `main` is still where its writer saw it.

use std::thread;
use std::time::{Duration, Instant};

use berth_host::{Waits, critical};
use git2::{ErrorCode, Oid, Repository};

use crate::oid::{oid, revision_of};
use crate::packing::write_pack;
use crate::state_repo::Lifetime;
use crate::tree_edit::Changes;
use crate::{Edit, Error, MAIN, Revision, StateRepo, Words, durable};

/// A ref is locked for the time of one small file; a lock that stands this long is a dead writer's.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Up to this many edits are written as loose objects.
const MANY: usize = 100;

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
        let before = match base {
            Some(base) => {
                let read = self.repository.find_commit(oid(base)).and_then(|commit| commit.tree());
                Some(read.map_err(|source| Error::ReadCommit { revision: *base, source })?)
            }
            None => None,
        };
        // As many as a new state repo begins with are a pack, and not a file each.
        let room = match edits.len() > MANY && self.opening.quarantine.is_none() {
            true => Some(self.in_memory()?),
            false => None,
        };
        let repository = room.as_ref().unwrap_or(&self.repository);
        let failed = |source| Error::WriteObject { object: "the commit".to_owned(), source };
        let mut written = Vec::new();
        let new = match changes.write(repository, before.as_ref(), "", &mut written)? {
            Some(id) => id,
            None => repository.treebuilder(None).and_then(|empty| empty.write()).map_err(failed)?,
        };
        if let (Some(base), Some(before)) = (base, &before)
            && before.id() == new
        {
            return Ok(*base);
        }
        let tree = repository.find_tree(new).map_err(failed)?;
        let parent = base.map(|base| repository.find_commit(oid(base))).transpose().map_err(failed)?;
        let parents: Vec<_> = parent.iter().collect();
        let id =
            repository.commit(None, &author, &committer, words.message, &tree, &parents).map_err(failed)?;
        written.extend([new, id]);
        self.keep_written(room.as_ref(), written)?;
        Ok(revision_of(id))
    }

    /// Forces down what was written, or first makes a pack of it where it was written into memory.
    fn keep_written(&self, memory: Option<&Repository>, mut written: Vec<Oid>) -> Result<(), Error> {
        let git_dir = self.repository.commondir();
        let Some(memory) = memory else {
            return match self.lifetime {
                Lifetime::Lasting => durable::objects(git_dir, &written),
                Lifetime::Scratch => Ok(()),
            };
        };
        written.sort_unstable();
        written.dedup();
        let objects = written.iter().map(|id| (*id, &b""[..]));
        let packed = write_pack(memory, git_dir, objects)
            .and_then(|pack| self.repository.odb()?.refresh().map(|()| pack));
        let pack = packed.map_err(|source| Error::WriteObject { object: "the commit".to_owned(), source })?;
        durable::pack(git_dir, &pack)
    }

    /// Opens the same repository, to write into memory.
    fn in_memory(&self) -> Result<Repository, Error> {
        let failed = |source| Error::WriteObject { object: "the commit".to_owned(), source };
        let memory = self.opening.open()?;
        memory.odb().and_then(|objects| objects.add_new_mempack_backend(1000).map(drop)).map_err(failed)?;
        Ok(memory)
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
