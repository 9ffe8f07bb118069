//! A state repo is its owner's alone: it holds password hashes, and whatever a member has ever written.
//!
//! Modes alone would not last, since git makes files by the umask of whoever pushes. So the repository also tells git
//! which modes to use.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use git2::Config;

use crate::Error;

/// The setting by which git gives every file that it makes the mode 0600, and every folder 0700.
const SETTING: (&str, &str) = ("core.sharedRepository", "0600");
const OTHERS: u32 = 0o077;

/// Outcome of [`close`]: tells whether somebody else could have read something until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Something was open to others until now.
    Now,
    /// It was closed already.
    Before,
}

/// Closes everything in a bare repository to everybody but its owner, and everything that git will make there, too.
pub fn close(git_dir: &Path) -> Result<Closed, Error> {
    let failed = |source| Error::Close { path: git_dir.to_owned(), source };
    // The folder first: from then on nobody can reach what is in it.
    let mut closed = close_one(git_dir).map_err(failed)?;
    let mut folders = vec![git_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        // Git may be at work: what is gone by now needs nothing.
        let Some(entries) = found(fs::read_dir(&folder)).map_err(failed)? else { continue };
        for entry in entries {
            let Some(entry) = found(entry).map_err(failed)? else { continue };
            let Some(kind) = found(entry.file_type()).map_err(failed)? else { continue };
            if kind.is_symlink() {
                continue;
            }
            if close_one(&entry.path()).map_err(failed)? == Closed::Now {
                closed = Closed::Now;
            }
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    configure(git_dir).map_err(|source| Error::Init { path: git_dir.to_owned(), source })?;
    Ok(closed)
}

fn configure(git_dir: &Path) -> Result<(), git2::Error> {
    let mut config = Config::open(&git_dir.join("config"))?;
    let (name, value) = SETTING;
    match config.get_string(name) {
        // Written only where it differs: whoever watches the repository would wake up.
        Ok(found) if found == value => Ok(()),
        _ => config.set_str(name, value),
    }
}

fn close_one(path: &Path) -> io::Result<Closed> {
    let Some(meta) = found(fs::symlink_metadata(path))? else { return Ok(Closed::Before) };
    let mode = meta.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(Closed::Before);
    }
    found(fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)))?;
    Ok(Closed::Now)
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
