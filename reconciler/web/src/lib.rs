//! The panel: pages that show what the door lets somebody read, and forms whose changes the door plans, judges and commits.
//!
//! Owns TLS, sessions, the guards before every page, and the pages. It knows nobody by itself: the door says who somebody is,
//! what they may read and what they may change. It refuses every request that doesn't come from one of its own pages.

mod account;
pub mod acme;
mod agent;
mod api;
mod app;
pub mod arguments;
mod asset;
mod authority;
mod challenge;
mod confirm;
mod countries;
pub mod diagram;
mod factor;
mod file;
mod guard;
mod handover;
mod invite;
pub mod launch;
pub mod live;
mod markdown;
mod oidc;
mod open;
mod organisation;
pub mod page;
mod passkey;
mod problem;
mod resume;
pub mod routes;
pub mod serve;
pub mod session;
mod settings;
mod shell;
mod signin;
pub mod supervise;
mod template;
pub mod tls;
pub mod user;
mod visitor;
mod way;

pub use app::App;
pub use challenge::Challenges;
pub use handover::Listeners;
pub use problem::Problem;
pub use settings::Settings;
pub use shell::Shells;
pub use visitor::{Opened, Peer, Sent, Visitor};
pub use way::Way;
