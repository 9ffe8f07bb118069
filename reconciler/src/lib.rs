//! The reconciler: makes the engine agree with the state repo.
//!
//! `pass` is one reconcile from top to bottom; the planner (crate `berth-plan`) decides, and the crate `berth-engine` looks
//! and acts. `command` is what people call.

pub mod backoff;
pub mod backups;
pub mod certificates;
pub mod checkup;
pub mod command;
pub mod control;
pub mod daemon;
pub mod draw;
pub mod drill;
pub mod export;
mod facts;
pub mod figures;
pub mod hold;
pub mod journal;
pub mod metrics;
pub mod pass;
pub mod power;
pub mod room;
pub mod servers;
pub mod settings;
pub mod setup;
pub mod source;
pub mod sshrouter;
pub mod wakeup;
pub mod watch;
