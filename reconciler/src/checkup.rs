//! The check-up of a host: whether Berth can work on it, before anything is installed and at any time later.
//!
//! [`mod@read`] gathers facts and judges nothing; [`mod@judge`] judges facts and reads nothing. A fact that can't be had is told as such, and
//! never taken for a good one.

pub mod facts;
pub mod judge;
pub mod read;

mod diagnosis;
mod version;

pub use diagnosis::{Diagnosis, Weight};
pub use facts::HostFacts;
pub use judge::judge;
pub use read::read;
