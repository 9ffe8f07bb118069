//! The secrets of a host: files that nobody but their owner reads.
//!
//! [`Secrets`] is the folder of those that people store by name (`berth secret set`), and that the state refers to;
//! [`made`] keeps those that a platform makes for itself. Both read by [`mod@file`], which refuses a file that others can
//! read. No value is in an error, a log or a `Debug`.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod file;
pub mod made;
mod moved;
mod named;

pub use moved::{MoveError, adopt};
pub use named::{SecretError, Secrets, StoreError, Stored};
