//! The way to an OpenID provider, for a door that has no network.
//!
//! Owns the provider's description and keys, which it fetches and keeps in memory, and the exchange of a code, with the secret that the
//! provider gave the panel. Answers the door over `oidc.sock`, and nobody else. Checks no token: who somebody is, the door finds out.
//! Never touches the engine, git or the panel.

mod http;
mod listen;
mod provider;
mod settings;
mod standing;
mod trouble;

pub use listen::{ListenError, run};
pub use settings::OidcSettings;
