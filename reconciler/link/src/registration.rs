//! Registration of a plane: a small file that is written when its holder starts, so that a server that starts later
//! finds the plane while nothing else of Berth runs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_host::FileLock;
use berth_host::file::replace;
use berth_host::process::started;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Trying as _};
use crate::namespace::Namespace;

/// The folder of registrations. It vanishes with the machine's start, as the planes do.
pub const REGISTRATIONS: &str = "/run/berth/planes";

/// The process that holds a plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The holder's first process.
    pub pid: u32,
    /// Start of that process, in clock ticks since the machine's start (proc(5), `starttime`): process ids are used again.
    pub started: u64,
    /// The inode of its network namespace.
    pub namespace: u64,
}

impl Registration {
    /// Makes the registration of a process.
    pub fn of_process(pid: u32) -> Result<Self> {
        let namespace = Namespace::of_process(pid)?.inode();
        let started = started(pid).trying(|| format!("learn when process {pid} started"))?;
        Ok(Self { pid, started, namespace })
    }

    /// Reads the registration of a prefix. `None` when there is none, or its process has ended.
    pub fn read(folder: &Path, prefix: &str) -> Result<Option<Self>> {
        let path = file(folder, prefix)?;
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::new(format!("read {}", path.display()), error)),
        };
        // Half a file can't be there, and one of another version says nothing: both count as none.
        let Ok(found) = serde_json::from_slice::<Self>(&text) else { return Ok(None) };
        Ok(found.holds().then_some(found))
    }

    /// Returns whether its process is still the one that was registered.
    pub(crate) fn holds(&self) -> bool {
        started(self.pid).is_ok_and(|started| started == self.started)
    }

    /// Writes it as a whole.
    pub fn write(&self, folder: &Path, prefix: &str) -> Result<()> {
        let path = file(folder, prefix)?;
        let write = || {
            make(folder)?;
            replace(&path, &serde_json::to_vec(self)?, 0o600)
        };
        write().trying(|| format!("write {}", path.display()))
    }

    /// Removes the registration of a prefix. The lock stays: another process may wait for it.
    pub fn remove(folder: &Path, prefix: &str) -> Result<()> {
        let path = file(folder, prefix)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::new(format!("remove {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }
}

/// Time to wait for another process that changes the same plane. A start of a container waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(3);
/// Takes the lock of one plane's links, which keeps two processes from changing them at a time.
pub(crate) fn lock(folder: &Path, prefix: &str) -> Result<FileLock> {
    let path = file(folder, prefix)?.with_extension("lock");
    make(folder).and_then(|()| FileLock::take(&path, PATIENCE)).trying(|| format!("lock {}", path.display()))
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder)
}

/// The prefix comes from a container's environment: it must be a plain name.
fn file(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let plain = !prefix.is_empty()
        && prefix.len() <= 32
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain {
        return Ok(folder.join(prefix));
    }
    let what = format!("look up the plane {prefix:?}");
    Err(Error::new(what, io::Error::new(io::ErrorKind::InvalidInput, "that is not a prefix")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_holds_while_its_process_lives() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut of_us = Registration::of_process(std::process::id()).expect("a registration");
        assert_eq!(Registration::read(folder.path(), "demo").expect("nothing"), None);
        of_us.write(folder.path(), "demo").expect("written");
        assert_eq!(Registration::read(folder.path(), "demo").expect("read"), Some(of_us.clone()));

        of_us.started += 1;
        of_us.write(folder.path(), "demo").expect("written");
        assert_eq!(Registration::read(folder.path(), "demo").expect("read"), None, "another process's id");

        Registration::remove(folder.path(), "demo").expect("removed");
        Registration::remove(folder.path(), "demo").expect("nothing to remove");
    }

    #[test]
    fn a_lock_that_is_held_is_given_up_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = lock(folder.path(), "demo").expect("the lock");
        let error = lock(folder.path(), "demo").expect_err("it is held");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        lock(folder.path(), "other").expect("another plane's lock");
        drop(held);
        lock(folder.path(), "demo").expect("the lock");
    }

    #[test]
    fn half_a_file_counts_as_none() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("demo"), "{\"pid\": 1").expect("written");
        assert_eq!(Registration::read(folder.path(), "demo").expect("read"), None);
    }

    #[test]
    fn a_prefix_is_a_plain_name() {
        for prefix in ["", "../x", "a/b", "a.lock", "A"] {
            assert!(Registration::read(Path::new("/nowhere"), prefix).is_err(), "{prefix}");
        }
    }
}
