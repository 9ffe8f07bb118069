//! Work that reading a repository took, counted: what a test compares when it doubles its input.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of what was read, all told. Clones of a repository's memory count together.
#[derive(Debug, Default)]
pub(crate) struct Work {
    folders: AtomicU64,
    files: AtomicU64,
}

/// Amounts that were read until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worked {
    /// Folders that were read, with all their entries.
    pub folders: u64,
    /// Files that were read and parsed.
    pub files: u64,
}

impl Work {
    /// Counts a folder.
    pub(crate) fn folder(&self) {
        self.folders.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts files.
    pub(crate) fn files(&self, number: usize) {
        self.files.fetch_add(number as u64, Ordering::Relaxed);
    }

    /// The counts by now.
    pub(crate) fn so_far(&self) -> Worked {
        Worked { folders: self.folders.load(Ordering::Relaxed), files: self.files.load(Ordering::Relaxed) }
    }
}

impl Worked {
    /// Returns what was read since an earlier moment.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            folders: self.folders.saturating_sub(before.folders),
            files: self.files.saturating_sub(before.files),
        }
    }
}
