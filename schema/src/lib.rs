//! What a Berth state repo may say.
//!
//! This crate owns the four kinds (platform, user, server, domain), their invariants, and the findings that tell a
//! person what is wrong and how to mend it. It does no I/O: callers hand it paths and text.

pub mod cache;
pub mod certificate;
pub mod domain;
pub mod door;
pub mod edit;
mod fields;
pub mod finding;
pub mod firewall;
mod json_schema;
pub mod kind;
pub mod name;
mod network;
mod parse;
mod password;
pub mod platform;
pub mod policy;
pub mod quantity;
pub mod remote;
pub mod report;
mod resolve;
pub mod route;
pub mod server;
pub mod ssh;
mod ssh_key;
pub mod state;
mod suggest;
mod usage;
pub mod user;
mod value;
pub mod view;
pub mod web;

pub use finding::{Finding, Position, Severity};
pub use json_schema::json_schema;
pub use kind::Kind;
pub use state::{Parsed, State};
