//! The panel over real TLS sockets, with a stand-in for the door at a real Unix socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod account;
mod acme;
mod api;
mod api_writes;
mod authority;
mod browse;
mod browser;
mod door;
mod edge;
mod encryption;
mod factors;
mod forms;
mod guards;
mod html;
mod inside;
mod live;
mod oidc;
mod pages;
mod panel;
mod platform;
mod program;
mod pulls;
mod reconciler;
mod restart;
mod router;
mod sessions;
mod signin;
mod sites;
mod wiki;
mod wiki_forms;
