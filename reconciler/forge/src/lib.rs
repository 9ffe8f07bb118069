//! The forge that hosts the state repo: its branch is followed, it is told what became of its commits, and what members change here
//! is brought to it as pull requests.
//!
//! Owns the way from a push on the forge to `main` here: look, fetch, judge, move `main` forward; and the listener that its
//! webhook calls. Refuses what the hook would refuse, and a branch whose history was rewritten; `main` stays where it is then.
//! Never touches the engine: the reconciler sees that `main` moved, as it does after any push.

mod access;
mod api;
mod bell;
mod echo;
mod exchange;
mod folder;
mod follow;
mod follower;
mod git;
mod letter;
mod listener;
mod news;
mod outbox;
mod outcomes;
mod owed;
mod pulls;
mod settings;
mod statuses;
mod waits;
mod way_out;
mod webhook;

pub use folder::FolderError;
pub use follower::{FollowError, configured, run};
pub use listener::PATH;
pub use settings::FollowSettings;
