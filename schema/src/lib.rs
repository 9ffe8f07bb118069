//! What a Berth state repo may say.
//!
//! This crate owns the four kinds (platform, user, server, domain), their invariants, and the findings that tell a
//! person what is wrong and how to mend it. It does no I/O: callers hand it paths and text.

pub mod domain;
pub mod finding;
pub mod name;
pub mod platform;
pub mod quantity;
pub mod server;
pub mod state;
pub mod user;

pub use finding::{Finding, Position, Severity};
pub use state::{Parsed, State};
