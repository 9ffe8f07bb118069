//! The reconciler: makes the engine agree with the state repo.
//!
//! `pass` is one reconcile from top to bottom; `observe` reads, the planner (crate `berth-plan`) decides, `apply` does.
//! `command` is what people call.

pub mod apply;
pub mod backoff;
pub mod client;
pub mod command;
pub mod control;
pub mod daemon;
pub mod docker;
pub mod doctor;
pub mod door;
pub mod draw;
pub mod engine;
pub mod event;
pub mod exec;
pub mod export;
pub mod figures;
pub mod hook;
pub mod identity;
pub mod image;
pub mod journal;
pub mod log;
pub mod look;
pub mod metrics;
pub mod note;
pub mod observe;
pub mod outcome;
pub mod pass;
pub mod remote;
pub mod review;
pub mod secret;
pub mod settings;
pub mod source;
pub mod sshrouter;
pub mod status;
pub mod volume_file;
pub mod wakeup;
pub mod watch;
