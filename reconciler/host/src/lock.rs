//! A lock between processes: a file that one of them holds (flock(2)).

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A lock that this process holds until the value is dropped, or the process ends. The file stays: removing it would let
/// two processes hold a lock of the same name.
#[derive(Debug)]
pub struct FileLock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

impl FileLock {
    /// Time between two looks of [`FileLock::take`]. A holder that lets others pass must stay away for longer.
    pub const GLANCE: Duration = Duration::from_millis(2);

    /// Takes the lock unless another process, or another part of this one, holds it. The file is made where there is none,
    /// readable by its owner alone: whoever can open it can hold it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the lock, and for no longer than `patience`: whoever holds it may be stopped. Returns an error of the kind
    /// `TimedOut` then.
    pub fn take(path: &Path, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            if Instant::now() >= until {
                let why = format!("another process has held it for {patience:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            thread::sleep(Self::GLANCE);
        }
    }

    /// Returns whether somebody holds the lock. Never makes the file.
    pub fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn one_holds_it_and_others_give_up_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!FileLock::is_held(&path));
        assert!(!path.exists());
        let held = FileLock::take(&path, Duration::ZERO).unwrap();
        assert!(FileLock::is_held(&path));
        assert!(FileLock::try_take(&path).unwrap().is_none());
        let error = FileLock::take(&path, Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(held);
        assert!(!FileLock::is_held(&path));
        FileLock::take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn whoever_waits_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = FileLock::try_take(&path).unwrap().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| FileLock::take(&path, Duration::from_secs(60)));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }
}
