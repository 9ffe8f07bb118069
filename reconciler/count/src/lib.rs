//! Counts of what a process does: how often, and how long it took. Each process counts in its own memory and leaves its counts in a file
//! of its own; whoever gathers the files needs no other way to the process.
//!
//! The series are fixed, so neither memory nor a file grows with what people do. A file is read as a stranger's: some of the processes
//! listen to a network, and may have been taken over.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod counts;
mod left;
mod series;

pub use counts::{Counts, count, now, took};
pub use left::{Left, keep};
pub use series::{BUCKETS, Counted, Process, Timed};

/// Name of the file in a folder of the process's own.
pub const COUNTS_FILE: &str = "counts.json";
