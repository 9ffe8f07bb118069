//! The state repo: read at a revision without a checkout, commit by compare-and-swap.
//!
//! This crate owns everything that touches git: opening a repository, naming and describing revisions, reading the
//! files of one into a [`berth_schema::State`], merging and reverting, and moving `refs/heads/main` forward. It refuses to judge what the files
//! say (that is `berth-schema`), to watch for changes (that is the daemon), and to talk to other machines: fetch and push
//! are git's own work. Nothing here ever checks a file out, follows a link, or runs a hook.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod beside;
mod blame;
mod bounds;
mod cas;
mod changes;
mod closed;
mod combine;
mod commit_info;
mod configuration;
mod content;
mod contents;
mod directory;
mod durable;
mod edit;
mod error;
mod folder;
mod gathered;
pub mod git;
mod listing;
mod loaded;
mod marks;
mod measure;
mod memory;
mod merge;
mod names;
mod oid;
mod register;
mod source;
mod state_repo;
mod trail;
mod tree;
mod tree_edit;
mod unified;
pub mod view;
mod work;

pub use berth_schema::revision::{NotARevision, Revision};
pub use blame::Blamed;
pub use bounds::Excess;
pub use changes::FileChange;
pub use closed::{Closed, close};
pub use combine::{Combined, Scratch, Words};
pub use commit_info::{CommitInfo, Signature};
pub use configuration::Configuration;
pub use contents::{ContentId, Contents, Held};
pub use directory::load_directory;
pub use edit::Edit;
pub use error::Error;
pub use listing::{Listed, Paths, What};
pub use loaded::Loaded;
pub use marks::{
    APPLIED, CERTIFICATES, FORGE_WAY, IDS, Mark, NOTES, Notes, OPENED, OUTGOING, PROPOSALS, Stamp,
};
pub use memory::Memory;
pub use names::{BadName, bad_names_below};
pub use source::Source;
pub use state_repo::{Files, MAIN, Plain, StateRepo};
pub use trail::{Step, Trail};
pub use tree_edit::check_path;
pub use unified::unified;
pub use work::Worked;

/// Files above this size are refused unread: a state file is a page of text, and a larger one is a mistake or an attack.
pub const LARGEST_FILE: usize = 1 << 20;
