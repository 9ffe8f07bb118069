//! The turn to move `main`: whoever judges a change for it lines up, so that nobody's verdict is about a `main` that is gone by then.
//!
//! Git moves `main` itself after a hook of ours has accepted a push. The turn of that hook ends before, so it leaves word of what git
//! is about to do, and whoever is next waits until that is done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use berth_host::file::replace_for_now;
use berth_host::process::is_running;
use berth_host::{Owner, Queue, Ticket, Waited};
use git2::{ErrorCode, Repository};

use crate::oid::revision_of;
use crate::{Error, MAIN, Revision, StateRepo, durable};

/// Folder of the queues in the repository's git folder.
const FOLDER: &str = "berth-queue";
/// Queue of those who move `main`.
const TO_MAIN: &str = "main";
/// Queue of those who read the whole state, in processes of their own.
const READING: &str = "reading";
/// Readers at once: each holds a state in memory.
const READERS: usize = 3;
/// File that says what git is about to do.
const LANDING: &str = "landing";
/// Time that git may take for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at it.
const GLANCE: Duration = Duration::from_millis(10);

/// The turn to move `main`, until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "it is held until it is dropped")] Ticket);

/// A place among those who read the whole state, until it is dropped.
#[derive(Debug)]
pub struct Reading(#[expect(dead_code, reason = "it is held until it is dropped")] Ticket);

/// Others were ahead for as long as somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded {
    /// Number of those who are ahead.
    pub ahead: usize,
}

/// A move of `main` that git was allowed to make and hasn't made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landing {
    /// Process id of that git.
    pub process: u32,
    /// The commit that was pushed.
    pub pushed: Revision,
    /// The tip of `main` at which the push was judged; `None` before the first commit.
    pub base: Option<Revision>,
    /// The commit that becomes the tip.
    pub tip: Revision,
}

impl Turn {
    /// Lines up for the turn to move `main` of the repository with this git folder, and waits for no longer than `patience`.
    /// `tell` hears how many are ahead.
    pub fn take(
        git_dir: &Path,
        patience: Duration,
        tell: impl FnMut(usize),
    ) -> Result<Result<Self, Crowded>, Error> {
        let taken = line_up(git_dir, (TO_MAIN, 1), patience, tell)?;
        if taken.is_ok() {
            Landing::settle(git_dir)?;
        }
        Ok(taken.map(Self))
    }
}

impl Reading {
    /// Lines up for a place among the readers.
    pub fn take(
        git_dir: &Path,
        patience: Duration,
        tell: impl FnMut(usize),
    ) -> Result<Result<Self, Crowded>, Error> {
        // The last of those ahead are inside already.
        let ahead = |ahead: usize| ahead + 1 - READERS;
        let mut tell = tell;
        let taken = line_up(git_dir, (READING, READERS), patience, |all| tell(ahead(all)))?;
        Ok(taken.map(Self).map_err(|crowded| Crowded { ahead: ahead(crowded.ahead) }))
    }
}

fn line_up(
    git_dir: &Path,
    (name, places): (&str, usize),
    patience: Duration,
    tell: impl FnMut(usize),
) -> Result<Result<Ticket, Crowded>, Error> {
    let folder = git_dir.join(FOLDER).join(name);
    let failed = |source| Error::LineUp { path: folder.clone(), source };
    let ticket =
        Owner::of(git_dir).and_then(|owner| Queue::new(&folder, places).line_up(owner)).map_err(failed)?;
    Ok(match ticket.wait(patience, tell).map_err(failed)? {
        Waited::Turn => Ok(ticket),
        Waited::Crowded(ahead) => Err(Crowded { ahead }),
    })
}

impl Landing {
    fn path(git_dir: &Path) -> PathBuf {
        git_dir.join(FOLDER).join(LANDING)
    }

    /// Leaves word of what git is about to do.
    pub fn announce(&self, git_dir: &Path) -> Result<(), Error> {
        let Self { process, pushed, base, tip } = self;
        let base = base.map_or_else(|| "none".to_owned(), |base| base.to_string());
        let path = Self::path(git_dir);
        let text = format!("{process} {pushed} {base} {tip}\n");
        // After a loss of power the process that it names is gone too.
        replace_for_now(&path, text.as_bytes(), 0o600).map_err(|source| Error::LineUp { path, source })
    }

    /// Reads what git is about to do; `None` where it isn't about to do anything.
    pub fn announced(git_dir: &Path) -> Result<Option<Self>, Error> {
        let path = Self::path(git_dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::LineUp { path, source }),
        };
        let mut words = text.split_whitespace();
        let mut word = || words.next().unwrap_or_default();
        let read = (word().parse(), word().parse(), word().parse().ok(), word().parse());
        let (Ok(process), Ok(pushed), base, Ok(tip)) = read else { return Ok(None) };
        Ok(Some(Self { process, pushed, base, tip }))
    }

    /// Takes this word back: it is done, or never will be. Another one that was left meanwhile stays.
    pub fn forget(&self, git_dir: &Path) -> Result<(), Error> {
        if Self::announced(git_dir)?.as_ref() != Some(self) {
            return Ok(());
        }
        let path = Self::path(git_dir);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::LineUp { path, source }),
            _ => Ok(()),
        }
    }

    /// Waits until git has done what it was about to do, or is gone.
    fn settle(git_dir: &Path) -> Result<(), Error> {
        let start = Instant::now();
        while let Some(landing) = Self::announced(git_dir)? {
            let waits = landing.is_at_work() && tip(git_dir)? == landing.base && start.elapsed() < PATIENCE;
            if !waits {
                return landing.forget(git_dir);
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Returns whether the git that has to move `main` still runs.
    fn is_at_work(&self) -> bool {
        is_running(self.process)
    }
}

/// The tip of `main`, without a look at anything else.
fn tip(git_dir: &Path) -> Result<Option<Revision>, Error> {
    let path = git_dir.to_owned();
    let repository = Repository::open_bare(git_dir).map_err(|source| Error::Open { path, source })?;
    match repository.refname_to_id(MAIN) {
        Ok(id) => Ok(Some(revision_of(id))),
        Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
        Err(source) => Err(Error::ReadHead { source }),
    }
}

impl StateRepo {
    /// Moves `main` as a push was allowed to, unless it is elsewhere by now.
    pub fn land(&self, Landing { base, tip, .. }: &Landing) -> Result<(), Error> {
        match base {
            Some(base) if base == tip => Ok(()),
            Some(base) => self.advance(base, tip, "push"),
            None => self.put_main(None, Some(tip)),
        }
    }

    /// Moves `main` from one commit to another, or removes it, unless it is elsewhere by now. History may be rewritten by that.
    pub fn put_main(&self, old: Option<&Revision>, new: Option<&Revision>) -> Result<(), Error> {
        match (old, new) {
            (old, Some(new)) => {
                self.move_main(old, *new, "push")?;
                durable::reference(self.repository.commondir(), MAIN)
            }
            (Some(old), None) if self.remove_reference(MAIN, old)? => Ok(()),
            (_, None) => Err(Error::Moved { expected: old.copied(), actual: self.head()? }),
        }
    }

    /// The folder into which objects go that a push brings: git throws them away if the push isn't accepted.
    pub fn incoming(&self) -> PathBuf {
        self.opening.quarantine.clone().unwrap_or_else(|| self.repository.commondir().join("objects"))
    }

    /// Lines up for the turn to move `main` of this repository ([`Turn::take`]).
    pub fn turn(&self, patience: Duration, tell: impl FnMut(usize)) -> Result<Result<Turn, Crowded>, Error> {
        Turn::take(self.repository.commondir(), patience, tell)
    }

    /// Finds the revision of `main` that brought a commit, looking back so many revisions; the commit itself where none of them did.
    pub fn landed_by(&self, commit: &Revision, most: usize) -> Result<Revision, Error> {
        let Some(mut at) = self.head()? else { return Ok(*commit) };
        for _ in 0..most {
            if at == *commit {
                break;
            }
            let parents = self.commit_info(&at)?.parents;
            if parents.contains(commit) && parents.first() != Some(commit) {
                return Ok(at);
            }
            let Some(first) = parents.first() else { break };
            at = *first;
        }
        Ok(*commit)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn nobody_takes_back_the_word_of_another() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        let revision = |digit: &str| digit.repeat(40).parse().unwrap();
        let word = |digit| Landing { process: 7, pushed: revision(digit), base: None, tip: revision(digit) };
        let (gone, mine) = (word("a"), word("b"));
        gone.announce(folder.path()).unwrap();
        mine.announce(folder.path()).unwrap();
        gone.forget(folder.path()).unwrap();
        assert_eq!(Landing::announced(folder.path()).unwrap(), Some(mine));
        mine.forget(folder.path()).unwrap();
        assert_eq!(Landing::announced(folder.path()).unwrap(), None);
    }
}
