//! One question to one DNS server (RFC 1035), and its answer.
//!
//! Keeps nothing and knows no other server to ask: a proof must be fresh, and a probe is about this very server. Blocks
//! its thread. Answers are taken from the server that was asked alone, and only to the question that was asked.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod client;

pub use client::{Answer, Code, Kind, PORT, ask, ask_for_all};
