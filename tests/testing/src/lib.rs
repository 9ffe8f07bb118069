//! Ground that every test stands on: git with nobody's settings, programs under a deadline, and how a test is skipped.
//!
//! It knows nothing of Berth, so that a crate's own tests wait for no other crate.

pub mod country_file;
pub mod git;
pub mod named;
pub mod organisation;
pub mod pebble;
pub mod process;
pub mod skip;

pub use country_file::{country_file, countryless_file};
pub use git::git;
pub use organisation::put;
pub use pebble::Pebble;
pub use process::{InTime, Ran, eventually, run, until, within};
pub use skip::skipped;
