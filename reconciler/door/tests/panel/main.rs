//! The panel's door, asked by the panel's client over its socket, with a real state repo behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod api_tokens;
mod app;
mod authenticator;
mod authority;
mod bench;
mod browse;
mod changes;
mod factors;
mod fresh;
mod guesses;
mod invitations;
mod leads;
mod narrow;
mod oidc;
mod passkeys;
mod past;
mod provider;
mod pulls;
mod reading;
mod scale;
mod sessions;
mod sites;
mod socket;
mod tickets;
mod timeline;
mod tokens;
mod wiki;
