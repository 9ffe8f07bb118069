//! `<data>/remote`: what is known of the forge, the secrets that an operator puts there, and room for what is fetched.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_host::FileLock;
use berth_host::file::replace;
use berth_wire::standing::{FILE, LOCK, Standing};
use parking_lot::Mutex;
use tempfile::TempDir;

/// Beginning of the name of a fetch's folder, so that one that a crash left behind is known again.
const FETCH: &str = "fetch-";

/// The folder, held by this process.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    standing: Mutex<Standing>,
    /// Held as long as the folder is.
    _lock: FileLock,
}

/// The folder can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum FolderError {
    /// It can't be made, read or written.
    #[error("cannot use the folder {path}")]
    Use {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use: another `berth remote` follows the forge already")]
    InUse { path: PathBuf },
}

impl Folder {
    /// Makes the folder, readable by nobody else, takes it, and removes what a crash left.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Use { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = FileLock::try_take(&path.join(LOCK)).map_err(failed)?;
        let lock = lock.ok_or_else(|| FolderError::InUse { path: path.to_owned() })?;
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(FETCH) {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        let standing = Mutex::new(Standing::read(path).unwrap_or_default());
        Ok(Self { path: path.to_owned(), standing, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns everything that is known.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    /// Changes what is known, and writes it down. That it can't be written is logged: it is only for show.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = self.standing.lock();
        change(&mut standing);
        if let Err(error) = self.write(&standing) {
            tracing::warn!(%error, folder = %self.path.display(), "what is known of the forge can't be written down");
        }
    }

    /// An empty folder for one fetch, gone with the returned value.
    pub(crate) fn room(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(FETCH).tempdir_in(&self.path)
    }

    fn write(&self, standing: &Standing) -> io::Result<()> {
        replace(&self.path.join(FILE), &serde_json::to_vec_pretty(standing)?, 0o600)
    }
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
