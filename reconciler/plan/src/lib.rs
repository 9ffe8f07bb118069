//! The planner: what should exist and what does exist go in, an exact plan comes out.
//!
//! Pure and deterministic: no clock, no file, no engine. A step holds all that it will do, byte by byte, so that
//! a reviewer reads what will run and the executor has nothing left to choose.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod apparmor;
pub mod configuration;
pub mod desired;
pub mod diff;
pub mod digest;
pub mod drill;
pub mod identity;
pub mod inventory;
pub mod label;
pub mod names;
pub mod observed;
pub mod plane;
pub mod program;
pub mod recipe;
pub mod render;
pub mod room;
pub mod show;
pub mod simulate;
pub mod spec;
pub mod step;
pub mod subject;
pub mod system;
pub mod takeover;

pub use desired::Desired;
pub use diff::{Context, plan};
pub use identity::Identities;
pub use inventory::Inventory;
pub use observed::Observed;
pub use program::Programs;
pub use step::{Action, Change, Plan, Step, Subject};
