//! A queue between processes: whoever lines up first goes first, and only so many are inside at once.
//!
//! Everybody in the queue holds a lock on a file of their own (flock(2)), whose name is their number. The kernel frees the lock of
//! a process that ends, however it ends, so nobody waits for the dead.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::{FileLock, Owner};

/// Time for which somebody may be in the middle of lining up.
const LINING_UP: Duration = Duration::from_secs(30);
/// Time between two looks, for each one ahead.
const GLANCE: Duration = Duration::from_millis(10);
/// Longest time between two looks.
const LONGEST_GLANCE: Duration = Duration::from_millis(100);
/// Lock of whoever lines up just now.
const GATE: &str = "gate";
/// File of whoever lines up, until it has a number.
const NEW: &str = "new";

/// A queue, kept in a folder of its own.
#[derive(Debug, Clone)]
pub struct Queue {
    folder: PathBuf,
    places: usize,
}

/// A number in a queue. Its holder is in the queue until this is dropped, or the process ends.
#[derive(Debug)]
pub struct Ticket {
    queue: Queue,
    number: u64,
    _lock: File,
}

/// End of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// It is one's turn.
    Turn,
    /// So many were still ahead when patience ended.
    Crowded(usize),
}

impl Queue {
    /// A queue in `folder`, of which the first `places` are inside at once.
    pub fn new(folder: impl Into<PathBuf>, places: usize) -> Self {
        Self { folder: folder.into(), places }
    }

    /// Lines up. The files belong to `owner`, as whom this thread acts meanwhile.
    pub fn line_up(&self, owner: Owner) -> io::Result<Ticket> {
        let _acting = owner.act()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // Numbers grow in the order in which people come: nobody gets one that was free a moment ago.
        let _gate = FileLock::take(&self.folder.join(GATE), LINING_UP)?;
        let number = self.numbers()?.last().map_or(1, |last| last.saturating_add(1));
        let new = self.folder.join(NEW);
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        // Before it has its name: a number that nobody holds is taken for one of the dead.
        file.try_lock().map_err(io::Error::from)?;
        fs::rename(&new, self.path(number))?;
        Ok(Ticket { queue: self.clone(), number, _lock: file })
    }

    /// The numbers of all files, in order.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            numbers.extend(number(&entry?.file_name()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }
}

fn number(name: &OsStr) -> Option<u64> {
    name.to_str()?.parse().ok()
}

impl Ticket {
    /// Waits for the turn, for no longer than `patience`. `tell` hears how many are ahead, at each look at which it isn't one's turn.
    pub fn wait(&self, patience: Duration, mut tell: impl FnMut(usize)) -> io::Result<Waited> {
        let start = Instant::now();
        loop {
            let ahead = self.ahead()?;
            if ahead < self.queue.places {
                return Ok(Waited::Turn);
            }
            let waited = start.elapsed();
            if waited >= patience {
                return Ok(Waited::Crowded(ahead));
            }
            tell(ahead);
            let glance = GLANCE.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
            thread::sleep(glance.min(LONGEST_GLANCE).min(patience.saturating_sub(waited)));
        }
    }

    /// Number of those who are ahead, inside or waiting.
    pub fn ahead(&self) -> io::Result<usize> {
        let mut ahead = 0;
        for number in self.queue.numbers()?.into_iter().filter(|number| *number < self.number) {
            ahead += usize::from(is_held(&self.queue.path(number))?);
        }
        Ok(ahead)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Left behind, it is taken for one of the dead.
        let _ = fs::remove_file(self.queue.path(self.number));
    }
}

/// Returns whether somebody holds a number. What the dead left is taken away: no number below one that is held comes again.
fn is_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(false),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(120);

    fn queue(places: usize) -> (tempfile::TempDir, Queue, Owner) {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::of(folder.path()).unwrap();
        let queue = Queue::new(folder.path().join("queue"), places);
        (folder, queue, owner)
    }

    #[test]
    fn whoever_comes_first_goes_first_and_hears_who_is_ahead() {
        let (_folder, queue, owner) = queue(1);
        let mut tickets: Vec<Ticket> = (0..4).map(|_| queue.line_up(owner).unwrap()).collect();
        assert_eq!(tickets.iter().map(|ticket| ticket.ahead().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(tickets[0].wait(Duration::ZERO, |_| {}).unwrap(), Waited::Turn);
        let mut heard = Vec::new();
        let waited = tickets[2].wait(Duration::from_millis(1), |ahead| heard.push(ahead)).unwrap();
        assert_eq!((waited, heard), (Waited::Crowded(2), vec![2]));
        // One that gives up in the middle holds nobody up.
        drop(tickets.remove(1));
        assert_eq!(tickets[1].ahead().unwrap(), 1);
        tickets.remove(0);
        assert_eq!(tickets[0].wait(Duration::ZERO, |_| {}).unwrap(), Waited::Turn);
        drop(tickets);
        assert_eq!(queue.numbers().unwrap(), [0_u64; 0]);
    }

    #[test]
    fn nobody_waits_for_the_dead() {
        let (_folder, queue, owner) = queue(1);
        let first = queue.line_up(owner).unwrap();
        let second = queue.line_up(owner).unwrap();
        // The kernel closes the files of a process that is killed, and nothing else happens.
        let file = queue.path(first.number);
        let Ticket { _lock, .. } = &first;
        _lock.unlock().unwrap();
        assert_eq!(second.wait(Duration::ZERO, |_| {}).unwrap(), Waited::Turn);
        assert!(!file.exists());
        // What was about to line up is no number.
        fs::write(queue.folder.join(NEW), "").unwrap();
        let third = queue.line_up(owner).unwrap();
        assert_eq!(third.ahead().unwrap(), 1);
    }

    #[test]
    fn only_so_many_are_inside_and_each_gets_a_turn() {
        for places in [1, 3] {
            let (_folder, queue, owner) = queue(places);
            let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let order = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        for _ in 0..4 {
                            let ticket = queue.line_up(owner).unwrap();
                            assert_eq!(ticket.wait(LONG, |_| {}).unwrap(), Waited::Turn);
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            order.lock().unwrap().push(ticket.number);
                            thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    });
                }
            });
            let order = order.into_inner().unwrap();
            assert_eq!(order.len(), 64);
            assert!(most.load(Ordering::SeqCst) <= places);
        }
    }
}
