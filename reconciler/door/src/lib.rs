//! The door: git, reviews and the lobby's commands for people who come through the SSH router, and the panel's questions.
//!
//! Owns who may run what on which repository, and how it ends; and who the panel's people are, and what they see. Refuses to
//! judge what is pushed (the repository's hooks do) and to run anything but git's own two programs and ours. At `git.sock` it
//! knows a person only by the name that the router passes on, at `web.sock` by the token that it gave out. No engine is
//! needed, and none is reached.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod asking;
mod child;
mod door;
mod frame;
mod lease;
pub mod letters;
mod listen;
pub mod lobby;
mod members;
mod refusal;
mod scratch;
mod serve;
mod session;
mod settings;
pub mod web;

/// Folder of the door's own, below Berth's data.
pub const FOLDER: &str = "door";
/// File in it with the gate's counts, as the gate told them.
pub const GATE_COUNTS: &str = "gate-counts.json";

pub use asking::Asking;
pub use door::{Door, OpenError};
pub use listen::ListenError;
pub use serve::{DoorError, serve};
pub use settings::{DoorSettings, Limits};
