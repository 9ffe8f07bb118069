//! Many members at once, with the real door, git and hooks: what they push is judged one after the other, and nobody is turned
//! away because somebody else was first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what it expects by unwrapping, and what it saw"
)]

mod bridge;
mod combined;
mod house;
mod leftovers;
mod memory;
mod random;
mod together;
mod waiting;
