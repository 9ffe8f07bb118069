//! The state repo as it is written, for admins: folders, files and their lines, differences, a search, and tables.
//!
//! Owns what is told of a file, and how much at once. No answer holds a secret: marks stand for what is hidden, in lines that are read,
//! searched and compared alike. A revision is one that leads to `main`; nobody gets to see another by accident.

mod blame;
mod blames;
mod diff;
mod file;
mod lines;
mod mark_key;
mod revision;
mod search;
mod table;
mod tree;

pub(crate) use blame::blame;
pub(crate) use blames::Blames;
pub(crate) use diff::diff;
pub(crate) use file::{file, text};
pub(crate) use mark_key::marks;
pub(crate) use search::search;
pub(crate) use table::table;
pub(crate) use tree::tree;
