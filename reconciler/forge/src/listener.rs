//! The webhook's listener, which answers on a network.
//!
//! Owns the only listener of Berth's own that speaks HTTP over TCP, and what guards it: a signature over every request, and
//! limits on size, time and number. Refuses to do anything itself: a good request rings a bell, and whoever listens to the bell
//! fetches, so that the worst a forged or repeated request could bring about is a look at the forge.

mod body;
mod form;
mod key;
mod limit;
mod push;
mod serve;
mod signature;

pub(crate) use key::Key;
pub use serve::PATH;
pub(crate) use serve::Webhook;
