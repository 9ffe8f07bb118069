//! The state repo: read at a revision without a checkout, commit by compare-and-swap.
//!
//! This crate owns everything that touches git: opening a repository, naming and describing revisions, reading the
//! files of one into a [`berth_schema::State`], merging and reverting, and moving `refs/heads/main` forward. It refuses to judge what the files
//! say (that is `berth-schema`), to watch for changes (that is the daemon), and to talk to other machines: fetch and push
//! are git's own work. Nothing here ever checks a file out, follows a link, or runs a hook.

mod cas;
mod changes;
mod combine;
mod commit_info;
mod content;
mod directory;
mod durable;
mod error;
mod folder;
mod loaded;
mod marks;
mod revision;
mod source;
mod state_repo;
mod tree_edit;
pub mod view;

pub use cas::Edit;
pub use changes::FileChange;
pub use combine::{Combined, Scratch, Words};
pub use commit_info::{CommitInfo, Signature};
pub use directory::load_directory;
pub use error::Error;
pub use loaded::Loaded;
pub use marks::{Mark, NOTES, OPENED, PROPOSALS};
pub use revision::{NotARevision, Revision};
pub use source::Source;
pub use state_repo::{MAIN, StateRepo};

/// Files above this size are refused unread: a state file is a page of text, and a larger one is a mistake or an attack.
pub const LARGEST_FILE: usize = 1 << 20;
