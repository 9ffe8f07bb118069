//! `<data>/remote`: what is known of the forge, the secrets that an operator puts there, and room for what is fetched.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::standing::Standing;

const STANDING: &str = "standing.json";
const LOCK: &str = "lock";
/// What a fetch's folder begins with, so that one that a crash left behind is known again.
const FETCH: &str = "fetch-";

/// The folder, held by this process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    standing: Mutex<Standing>,
    /// Held as long as the folder is.
    _lock: File,
}

/// The folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It can't be made, read or written.
    #[error("use the folder {path}")]
    Use {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use: another `berth remote` follows the forge already")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

impl Folder {
    /// Makes the folder, readable by nobody else, takes it, and removes what a crash left.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Use { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(FETCH) {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        let standing = Mutex::new(read(path).unwrap_or_default());
        Ok(Self { path: path.to_owned(), standing, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is known.
    pub(super) fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is known, and writes it down. That it can't be written is logged: it is only for show.
    pub(super) fn change(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut standing);
        if let Err(error) = self.write(&standing) {
            tracing::warn!(%error, folder = %self.path.display(), "what is known of the forge can't be written down");
        }
    }

    /// An empty folder for one fetch, gone with the returned value.
    pub(super) fn room(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(FETCH).tempdir_in(&self.path)
    }

    fn write(&self, standing: &Standing) -> io::Result<()> {
        let file = tempfile::NamedTempFile::new_in(&self.path)?;
        serde_json::to_writer_pretty(&file, standing)?;
        file.persist(self.path.join(STANDING))?;
        Ok(())
    }
}

impl Standing {
    /// What a `berth remote` wrote into its folder at `path`; `None` when none ever did.
    pub fn read(path: &Path) -> Option<Self> {
        read(path)
    }

    /// Whether a `berth remote` holds its folder at `path` now.
    pub fn is_kept(path: &Path) -> bool {
        let lock = File::open(path.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

fn read(path: &Path) -> Option<Standing> {
    serde_json::from_slice(&fs::read(path.join(STANDING)).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_process_holds_the_folder_and_sweeps_it() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("remote");
        assert!(!Standing::is_kept(&path));
        fs::create_dir_all(path.join("fetch-left")).unwrap();
        let folder = Folder::open(&path).unwrap();
        assert!(!path.join("fetch-left").exists());
        assert!(Standing::is_kept(&path));
        assert!(matches!(Folder::open(&path), Err(FolderError::InUse { .. })));
        folder.change(|standing| standing.url = "/srv/state.git".to_owned());
        drop(folder);
        assert!(!Standing::is_kept(&path));
        assert_eq!(Standing::read(&path).unwrap().url, "/srv/state.git");
        assert_eq!(Folder::open(&path).unwrap().standing().url, "/srv/state.git");
    }

    #[test]
    fn the_folder_is_nobody_elses_to_read() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("data/remote");
        let _held = Folder::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
