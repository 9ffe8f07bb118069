//! Supervisor that keeps a listening socket and a program on it, and lets a new program take over from an old one: under the SSH
//! router, and under the gate.
//!
//! Owns the socket, so that connections always find it open, and the order in which programs come and go: the next one says that
//! it listens before the one before is told to finish. Knows nothing of what the programs do, and reads no configuration.
//!
//! It is the one part that can't be replaced without ending what its programs have open. Whoever changes it so that running
//! supervisors have to go raises `berth_plan::program::SUPERVISOR`; then, and only then, containers with it are made anew.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod renew;
mod report;
mod rest;
mod supervised;
mod supervisor;

pub use renew::{RenewError, renew};
pub use rest::{ask_for_another, own_memory};
pub use supervised::{announce, take_stdin};
pub use supervisor::{Rules, SuperviseError, run};
