//! Overflow of a queue: an unlinked temporary file, first in first out, with a ceiling for itself and one for all queues.
//!
//! This module also counts what all queues together hold in memory, because what doesn't fit there overflows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

/// Folder and limits of the overflow.
#[derive(Debug)]
pub(crate) struct Overflow {
    pub(crate) folder: PathBuf,
    /// Most bytes of one queue.
    pub(crate) each: u64,
    /// Most bytes of all queues together.
    pub(crate) total: u64,
    /// Most bytes that all queues together may hold in memory.
    pub(crate) memory: usize,
    used: AtomicU64,
    in_memory: AtomicUsize,
}

/// Bytes that are freed at once, so that not every read costs a system call.
const PUNCH: u64 = 4 << 20;

impl Overflow {
    pub(crate) fn new(folder: PathBuf, each: u64, total: u64, memory: usize) -> Self {
        Self { folder, each, total, memory, used: AtomicU64::new(0), in_memory: AtomicUsize::new(0) }
    }

    /// Returns whether `bytes` more fit into memory.
    pub(crate) fn has_memory(&self, bytes: usize) -> bool {
        self.in_memory.load(Ordering::Relaxed) + bytes <= self.memory
    }

    /// Counts bytes that came into memory.
    pub(crate) fn remember(&self, bytes: usize) {
        self.in_memory.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that left memory.
    pub(crate) fn forget(&self, bytes: usize) {
        self.in_memory.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Reasons why a queue takes nothing more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpillError {
    #[error("cannot hold more for an end that takes nothing: the overflow limit is reached")]
    Full,
    #[error("cannot write the overflow file")]
    Write(#[source] io::Error),
}

/// Overflow file of one queue.
#[derive(Debug)]
pub(crate) struct Spill {
    file: File,
    overflow: Arc<Overflow>,
    read: u64,
    written: u64,
    freed: u64,
}

impl Spill {
    pub(crate) fn create(overflow: &Arc<Overflow>) -> Result<Self, SpillError> {
        let file = tempfile::tempfile_in(&overflow.folder).map_err(SpillError::Write)?;
        Ok(Self { file, overflow: Arc::clone(overflow), read: 0, written: 0, freed: 0 })
    }

    /// Number of bytes that wait to be read.
    pub(crate) fn waiting(&self) -> u64 {
        self.written - self.read
    }

    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), SpillError> {
        let length = data.len() as u64;
        if self.written - self.freed + length > self.overflow.each {
            return Err(SpillError::Full);
        }
        if self.overflow.used.fetch_add(length, Ordering::Relaxed) + length > self.overflow.total {
            self.overflow.used.fetch_sub(length, Ordering::Relaxed);
            return Err(SpillError::Full);
        }
        if let Err(error) = self.file.write_all_at(data, self.written) {
            self.overflow.used.fetch_sub(length, Ordering::Relaxed);
            return Err(SpillError::Write(error));
        }
        self.written += length;
        Ok(())
    }

    /// Returns the next `length` bytes, which must be there.
    pub(crate) fn pop(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; length];
        self.file.read_exact_at(&mut data, self.read)?;
        self.read += length as u64;
        if self.read == self.written {
            self.release(self.written - self.freed);
            (self.read, self.written, self.freed) = (0, 0, 0);
            self.file.set_len(0)?;
        } else if self.read - self.freed >= PUNCH {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // On a file system without holes, the space is freed when the file has been read to its end.
            if fallocate(&self.file, hole, self.freed, self.read - self.freed).is_ok() {
                self.release(self.read - self.freed);
                self.freed = self.read;
            }
        }
        Ok(data)
    }

    fn release(&self, bytes: u64) {
        self.overflow.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.release(self.written - self.freed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_is_accounted_for() {
        let overflow = Arc::new(Overflow::new(std::env::temp_dir(), 32 << 20, 40 << 20, 0));
        let mut spill = Spill::create(&overflow).unwrap();
        let block: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
        for _ in 0..32 {
            spill.push(&block).unwrap();
        }
        assert!(matches!(spill.push(b"x"), Err(SpillError::Full)));
        for _ in 0..5 {
            assert_eq!(spill.pop(1 << 20).unwrap(), block);
        }
        // Four MiB were freed, as holes.
        assert_eq!(overflow.used.load(Ordering::Relaxed), 28 << 20);
        spill.push(&block).unwrap();
        assert_eq!(spill.waiting(), 28 << 20);
        let mut second = Spill::create(&overflow).unwrap();
        let pushed = (0..32).take_while(|_| second.push(&block).is_ok()).count();
        assert_eq!(pushed, 11, "the ceiling for all holds");
        drop((spill, second));
        assert_eq!(overflow.used.load(Ordering::Relaxed), 0);
    }
}
