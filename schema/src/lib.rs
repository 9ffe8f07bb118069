//! Types for everything that a Berth state repo may contain.
//!
//! This crate owns the four kinds (platform, user, server, domain), their invariants, and the findings that tell a
//! person what is wrong and how to mend it. It does no I/O: callers hand it paths and text.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod access;
pub mod acme;
pub mod alarms;
pub mod api_token;
pub mod backup;
pub mod beginning;
pub mod brief;
pub mod cache;
pub mod certificate;
pub mod certificate_register;
pub mod country;
pub mod docs;
pub mod domain;
pub mod door;
pub mod edit;
mod fields;
pub mod finding;
pub mod firewall;
pub mod forge_account;
pub mod form;
mod host_name;
mod invalid;
mod json_schema;
pub mod kind;
mod listen;
pub mod mail;
pub mod metrics;
pub mod name;
mod network;
pub mod oidc;
mod oidc_account;
pub mod organisation;
pub mod panel;
mod parse;
mod passkey;
mod password;
pub mod platform;
pub mod policy;
pub mod portable;
pub mod public;
pub mod quantity;
pub mod reach;
pub mod register;
pub mod remote;
pub mod removal;
pub mod report;
mod resolve;
pub mod revision;
pub mod route;
pub mod secret;
pub mod server;
pub mod site;
pub mod ssh;
mod ssh_key;
pub mod state;
mod strict;
mod suggest;
pub mod table;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod ticket;
pub mod tool;
pub mod usage;
pub mod user;
mod value;
pub mod veil;
pub mod view;
pub mod web;

pub use finding::{Finding, Position, Severity};
pub use json_schema::json_schema;
pub use kind::Kind;
pub use revision::{Origin, Revision};
pub use state::{Parsed, State};
