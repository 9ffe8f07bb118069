//! Where the plane is: a small file that is written when its holder starts, so that a server that starts later finds
//! the plane while nothing else of Berth runs.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Trying as _};
use crate::namespace::Namespace;

/// The folder of registrations. It vanishes with the machine's start, as the planes do.
pub const REGISTRATIONS: &str = "/run/berth/planes";

/// Who holds a plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The holder's first process.
    pub pid: u32,
    /// When that process started, in clock ticks since the machine's start (proc(5), `starttime`): process ids return.
    pub started: u64,
    /// The inode of its network namespace.
    pub namespace: u64,
}

impl Registration {
    /// What to register for a process.
    pub fn of_process(pid: u32) -> Result<Self> {
        let namespace = Namespace::of_process(pid)?.inode();
        let started = started(pid).trying(|| format!("learn when process {pid} started"))?;
        Ok(Self { pid, started, namespace })
    }

    /// What is registered for a prefix. `None` when there is nothing, or when it is of a process that has ended.
    pub fn read(folder: &Path, prefix: &str) -> Result<Option<Self>> {
        let path = file(folder, prefix)?;
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::new(format!("read {}", path.display()), error)),
        };
        // Half a file can't be there, and one of another version says nothing: both count as none.
        let Ok(found) = serde_json::from_slice::<Self>(&text) else { return Ok(None) };
        Ok(started(found.pid).is_ok_and(|started| started == found.started).then_some(found))
    }

    /// Writes it as a whole.
    pub fn write(&self, folder: &Path, prefix: &str) -> Result<()> {
        let path = file(folder, prefix)?;
        let write = || {
            fs::create_dir_all(folder)?;
            let new = path.with_extension("next");
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            fs::rename(&new, &path)
        };
        write().trying(|| format!("write {}", path.display()))
    }

    /// Removes what is registered for a prefix.
    pub fn remove(folder: &Path, prefix: &str) -> Result<()> {
        let path = file(folder, prefix)?;
        for path in [path.with_extension("lock"), path] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::new(format!("remove {}", path.display()), error)),
            }
        }
        Ok(())
    }
}

/// Keeps two from changing one plane's links at a time, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "its closing is what unlocks")] File);

impl Lock {
    pub(crate) fn take(folder: &Path, prefix: &str) -> Result<Self> {
        let path = file(folder, prefix)?.with_extension("lock");
        let take = || {
            fs::create_dir_all(folder)?;
            let file = File::create(&path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok::<_, io::Error>(Self(file))
        };
        take().trying(|| format!("lock {}", path.display()))
    }
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

fn started(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses, which may hold anything; the 22nd is asked for.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace());
    fields
        .and_then(|mut fields| fields.nth(19)?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not what proc(5) says"))
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
