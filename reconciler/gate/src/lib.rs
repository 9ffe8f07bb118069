//! The gate: a small program beside the edge, through which every request to a guarded site goes.
//!
//! Owns who is let through, by grants that the door signed; that nobody but itself says to an app who somebody is; and that what
//! somebody has open ends when their right to it does. Decides nothing about people: the door does. It has no key that signs, and
//! the panel isn't needed for what is open already.

mod answer;
pub mod arguments;
mod carry;
mod cookie;
mod ending;
mod enter;
mod foreign;
mod gate;
mod grants;
mod headers;
mod live;
mod page;
mod path;
mod seal;
mod serve;
mod told;
mod visit;
mod web_socket;

pub use serve::{Finish, ServeError, bind, serve};
