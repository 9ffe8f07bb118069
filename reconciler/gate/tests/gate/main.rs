//! The gate over its real socket, between an edge that sends what a visitor could have it send, and an app that tells what it got. The
//! door is a stand-in with a key of its own, at a real socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod bench;
mod carrying;
mod ending;
mod entering;
mod refusing;
