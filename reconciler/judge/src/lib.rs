//! The judge: may this commit come in?
//!
//! Owns what is asked before `main` moves, whichever door a change comes through: whether the new state is good, whether
//! history stays free of secrets, whether the policy allows it, and what it would change. Owns proposals, and the notes that
//! tell how each revision ended. Refuses to move `main` for a push (git does), to reach the engine (who sees it is asked
//! through [`Sights`]), and to know a command line: a door hands over what it knows.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod case;
pub mod form;
pub mod history;
pub mod hook;
pub mod leads;
mod line;
pub mod log;
pub mod note;
pub mod outgoing;
mod pages;
mod planned;
pub mod proofs;
mod refusals;
pub mod review;
mod sights;
mod spelling;
mod update;

pub use line::{Line, NoTurn};
pub use pages::Pages;
pub use refusals::set_there;
pub use sights::{Sights, Unseen};
pub use update::{NotAnUpdate, Update};
