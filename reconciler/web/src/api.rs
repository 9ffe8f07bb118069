//! The REST API, for scripts and other programs of members: the door's questions as JSON over HTTP.
//!
//! Owns how a request proves who asks, how bodies are read and problems written, which answers are given again, and the
//! description of all of it. It judges nothing: what may be read or changed is the door's to say, as for the pages.

mod account;
mod answers;
mod authority;
mod body;
mod caller;
mod changes;
mod domains;
mod edit;
pub(crate) mod handler;
mod once;
mod openapi;
mod problem;
mod pulls;
mod reviews;
mod seed;
mod servers;
mod shape;
mod swagger;
mod tokens;
mod users;
mod write;

pub(crate) use answers::Answers;
pub(crate) use authority::require;
pub(crate) use caller::without_guard;
pub(crate) use openapi::describe;
pub(crate) use problem::{Unaddressed, of_page};

/// Beginning of every path of the API.
pub(crate) const BELOW: &str = "/api/";
