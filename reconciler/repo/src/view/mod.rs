//! Views: the part of the state repo that a member may read, as a repository of its own.
//!
//! Owns a bare repository for each member: git hands out any object that is asked for by its id, so nothing that a member
//! may not read is among its objects, nor in the store that all views read besides. Its commits are those of the state repo, one for one, made
//! again with the files that the member may see ([`berth_schema::view`]). A member's push goes the other way: each commit
//! is made again on top of the real ones, to be judged there. Refuses to judge anything itself.

mod accept;
mod alternates;
mod changed;
mod copy;
mod enter;
mod error;
mod eye;
mod flat;
mod late;
mod own;
mod pages;
mod pairs;
mod pending;
mod progress;
mod pushed;
mod recast;
mod receive;
mod room;
mod shared;
mod show;
mod tidy;
mod trouble;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use berth_host::FileLock;
use berth_schema::name::UserName;
use berth_schema::view::is_admin;
use git2::{ErrorCode, Repository};

use self::error::{file, git};
use self::pages::Pages;
use self::pairs::Pairs;
use self::pending::Pending;
use self::shared::Shared;
use crate::{MAIN, StateRepo, beside, tree};

pub use accept::Accepted;
pub use enter::Entered;
pub use error::ViewError;
pub use progress::{Progress, Tell};
pub use receive::{Merging, Move, Own, Received};

/// Time that a command waits for another one on the same view.
const PATIENCE: Duration = Duration::from_secs(60);

/// The views of a state repo.
#[derive(Debug, Clone)]
pub struct Views {
    /// The state repo's git folder.
    state: PathBuf,
    folder: PathBuf,
}

/// One member's view, while nobody else makes or changes it.
struct View {
    user: UserName,
    real: Repository,
    repository: Repository,
    pairs: Pairs,
    pages: Pages,
    _lock: FileLock,
    /// Held by a push, which may have to wait for its turn while it holds the other lock.
    _pushing: Option<FileLock>,
}

/// The branches that a view is brought up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// Those that the state repo has now.
    Now,
    /// Those that it has now, but `main` as the member last saw it: what they push stands on that.
    LastMain,
}

/// A person's standing on main.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Stranger,
    Member,
    Admin,
}

impl Standing {
    /// Refuses whoever has no view.
    fn must_be_member(self, user: &UserName) -> Result<(), ViewError> {
        match self {
            Self::Member => Ok(()),
            Self::Admin => Err(ViewError::Admin { user: user.clone() }),
            Self::Stranger => Err(ViewError::Stranger { user: user.clone() }),
        }
    }
}

impl Views {
    /// The views of the state repo at `state_repo`, kept in `folder`. Everything in it can be lost: it is made anew from
    /// the state repo.
    pub fn open(state_repo: &Path, folder: &Path) -> Result<Self, ViewError> {
        let state = StateRepo::open(state_repo)?.git_dir().to_owned();
        let state = std::path::absolute(&state).map_err(file("find", &state))?;
        let folder = std::path::absolute(folder).map_err(file("find", folder))?;
        // A view holds its member's e-mail address and keys.
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(file("make", &folder))?;
        Ok(Self { state, folder })
    }

    /// Path of a member's view, whether it exists or not.
    pub fn path(&self, user: &UserName) -> PathBuf {
        self.folder.join(format!("{user}.git"))
    }

    /// Brings a member's view up to the state repo, and returns its path. Only new commits are made. Strangers and admins have
    /// no view, and one that was there is removed.
    ///
    /// While a push of the member's is judged or waits for that, the view stays as it is, and reading doesn't wait for it; unless the view
    /// holds what the member may not read any more.
    pub fn prepare(&self, user: &UserName) -> Result<PathBuf, ViewError> {
        self.prepare_telling(user, &|_| {})
    }

    /// Does the same, and tells how far it has come: a first look at a long history takes seconds.
    pub fn prepare_telling(&self, user: &UserName, tell: Tell<'_>) -> Result<PathBuf, ViewError> {
        self.prepare_as(user, Shows::Now, tell)
    }

    /// Makes a member's view ready for a push: `main` stays where they last saw it, so that git doesn't refuse what was made on top of
    /// that.
    pub fn prepare_to_push(&self, user: &UserName) -> Result<PathBuf, ViewError> {
        self.prepare_to_push_telling(user, &|_| {})
    }

    /// Does the same, and tells how far it has come.
    pub fn prepare_to_push_telling(&self, user: &UserName, tell: Tell<'_>) -> Result<PathBuf, ViewError> {
        self.prepare_as(user, Shows::LastMain, tell)
    }

    fn prepare_as(&self, user: &UserName, shows: Shows, tell: Tell<'_>) -> Result<PathBuf, ViewError> {
        if let Some(lock) = self.lock_unless_pushed_into(user, tell)? {
            // Git may still be at work in the folder for a push, whether the view can stay or not.
            Pending::settle(&self.path(user))?;
            let real = self.state_of_member(user)?;
            let shared = Shared::filled(&self.folder, &real, tell)?;
            let reads = (shared.pages(), Some(shared.objects()));
            let mut view = self.open_view(user, real, reads, (lock, None))?;
            view.refresh(&shared, shows, tell)?;
        }
        Ok(self.path(user))
    }

    /// Locks a member's view; `None` while a push into it is at work, and it can be read as it is.
    fn lock_unless_pushed_into(
        &self,
        user: &UserName,
        tell: Tell<'_>,
    ) -> Result<Option<FileLock>, ViewError> {
        let (path, pushing) = (self.lock_file(user), self.pushing_file(user));
        let start = Instant::now();
        let mut is_stale = false;
        loop {
            if let Some(lock) = FileLock::try_take(&path).map_err(file("lock", &path))? {
                return Ok(Some(lock));
            }
            // One that is stale is made anew when the push is done: its git works in that folder.
            if !is_stale && FileLock::is_held(&pushing) && self.path(user).exists() {
                match self.can_be_read(user, tell)? {
                    true => return Ok(None),
                    false => is_stale = true,
                }
            }
            if start.elapsed() > PATIENCE {
                return Err(ViewError::Busy { user: user.clone(), after: PATIENCE });
            }
            thread::sleep(FileLock::GLANCE);
        }
    }

    /// Returns whether a view that somebody else has locked holds only what its member may read now: a page may have been hidden since.
    fn can_be_read(&self, user: &UserName, tell: Tell<'_>) -> Result<bool, ViewError> {
        let real = Repository::open_bare(&self.state).map_err(git("open the state repo"))?;
        standing(&real, user)?.must_be_member(user)?;
        let shared = Shared::filled(&self.folder, &real, tell)?;
        let path = self.path(user);
        let reads = alternates::read(&path)?;
        let is_of_store = reads.is_none() || reads == Some(shared.objects());
        // Whoever has it locked may have begun it anew, and not have shown anything in it yet.
        let shows = || Repository::open_bare(&path).is_ok_and(|view| view.refname_to_id(MAIN).is_ok());
        Ok(is_of_store && Pairs::are_by_rules(&path, shared.pages())? && shows())
    }

    fn lock_file(&self, user: &UserName) -> PathBuf {
        self.folder.join(format!("{user}.lock"))
    }

    fn pushing_file(&self, user: &UserName) -> PathBuf {
        self.folder.join(format!("{user}.pushing"))
    }

    /// Returns whether another push into a member's view is at work.
    pub fn is_pushed_into(&self, user: &UserName) -> bool {
        FileLock::is_held(&self.pushing_file(user))
    }

    /// Opens the state repo for a member whose view is locked. A view that nobody has any more is removed.
    fn state_of_member(&self, user: &UserName) -> Result<Repository, ViewError> {
        let real = Repository::open_bare(&self.state).map_err(git("open the state repo"))?;
        if let Err(error) = standing(&real, user)?.must_be_member(user) {
            remove(&self.path(user))?;
            return Err(error);
        }
        Ok(real)
    }

    /// Opens a view that is locked, or makes an empty one: where there is none, or where what it shows or reads isn't what it has to
    /// be any more. For a push it is left as it is then: git is at work in its folder.
    fn open_view(
        &self,
        user: &UserName,
        real: Repository,
        (pages, shared): (Pages, Option<String>),
        (lock, pushing): (FileLock, Option<FileLock>),
    ) -> Result<View, ViewError> {
        let path = self.path(user);
        let reads = alternates::read(&path)?;
        // A view of an older version reads nothing besides its own objects. It stays, and may read the store from now on.
        let pairs = match reads.is_none() || reads == shared {
            true => Pairs::load(&path, pages)?,
            false => None,
        };
        let (repository, pairs) = match pairs {
            Some(pairs) => {
                if let Some(shared) = shared.filter(|_| reads.is_none()) {
                    alternates::write(&path, &shared)?;
                }
                (Repository::open_bare(&path).map_err(git("open the view"))?, pairs)
            }
            None if pushing.is_some() && path.exists() => {
                return Err(ViewError::Changed { user: user.clone() });
            }
            None => {
                remove(&path)?;
                make(&path)?;
                if let Some(shared) = shared {
                    alternates::write(&path, &shared)?;
                }
                // Git's libraries read that when they open it.
                let repository = Repository::open_bare(&path).map_err(git("open the view"))?;
                (repository, Pairs::begin(&path, pages)?)
            }
        };
        Ok(View { user: user.clone(), real, repository, pairs, pages, _lock: lock, _pushing: pushing })
    }
}

/// Reads a person's standing from their file on main.
fn standing(real: &Repository, user: &UserName) -> Result<Standing, ViewError> {
    let read = || {
        let tip = match real.refname_to_id(MAIN) {
            Ok(tip) => tip,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(Standing::Stranger),
            Err(error) => return Err(error),
        };
        let tree = real.find_commit(tip)?.tree()?;
        match tree::entry(real, &tree, format!("users/{user}.toml").as_bytes())? {
            Some(entry) if entry.is_plain() => {
                let blob = real.find_blob(entry.id)?;
                // A file that can't be read makes nobody an admin.
                let admin = std::str::from_utf8(blob.content()).is_ok_and(|text| is_admin(user, text));
                Ok(if admin { Standing::Admin } else { Standing::Member })
            }
            _ => Ok(Standing::Stranger),
        }
    };
    read().map_err(git(format!("read what `{user}` is on main")))
}

fn remove(path: &Path) -> Result<(), ViewError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn make(path: &Path) -> Result<Repository, ViewError> {
    let made = beside::make(path).and_then(|repository| {
        let mut config = repository.config()?;
        for (name, value) in SETTINGS {
            config.set_str(name, value)?;
        }
        Ok(repository)
    });
    made.map_err(git(format!("make the view {}", path.display())))
}

/// The settings of a view.
const SETTINGS: [(&str, &str); 6] = [
    // A forged object is refused at the door.
    ("receive.fsckObjects", "true"),
    // State is text: a push of this size is a mistake or an attack, and git stops reading it there.
    ("receive.maxInputSize", "16m"),
    ("receive.advertisePushOptions", "true"),
    // Commits that were shown once may be shown again: a proposal that comes back keeps its own.
    ("gc.pruneExpire", "never"),
    ("core.fsync", "committed,reference"),
    // The audit trail is the state repo's.
    ("core.logAllRefUpdates", "false"),
];
