//! A CA, as both processes meet it that order certificates: `berth acme`, and the panel for its own name.
//!
//! Owns the roots by which a CA is checked, the waits after failures, the failures that any CA causes, and the moment to renew.
//! Orders, and the proofs for them, are each process's own.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod failure;
mod pace;
mod roots;

pub use failure::CaError;
pub use pace::{Pace, renew_at};
pub use roots::{RootsError, checked_by};
