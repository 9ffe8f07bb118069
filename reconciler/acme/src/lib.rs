//! The account at the ACME CA, and the wildcard certificate of the platform's domain.
//!
//! Owns the account where the CA binds it to one that its operator knows, the proof of the domain in its DNS zone, and the
//! wildcard certificate. Hands both over in files: to the web server before all domains, and to the panel. Those order their other
//! certificates themselves. Never touches the engine and never writes to the state repo.

mod account;
mod hand;
mod http;
mod keeper;
mod order;
mod program;
mod settings;
mod store;
mod trouble;
mod update;
mod zone;

pub use keeper::run;
pub use settings::{AcmeSettings, ZonePace};
