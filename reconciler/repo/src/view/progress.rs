//! Progress of the work that makes a view ready.

/// Work that makes a view ready, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Somebody else fills the store that all views read, and has done so many commits.
    Waits {
        /// Commits that are in the store.
        done: usize,
    },
    /// The store that all views read is filled.
    Shared {
        /// Commits that are done.
        done: usize,
        /// All that are missing.
        of: usize,
    },
    /// The member's own commits are made.
    Own {
        /// Commits that are done.
        done: usize,
        /// All that are missing.
        of: usize,
    },
}

/// Hears of progress.
pub type Tell<'t> = &'t dyn Fn(Progress);
