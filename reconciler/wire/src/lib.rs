//! The wire: what Berth's processes tell each other.
//!
//! Owns the data that goes over `control.sock`, `door.sock`, `panel.sock`, `metrics.sock`, `web.sock`, `gate.sock` and `oidc.sock`, into the journal and into the files that
//! tell of the forge, of the panel's certificate and of its countries, and the clients of these sockets. Types stay types here: a revision, a subject, an action and a power state travel as themselves, and
//! their text on the wire is only how they are written. Refuses to reach git or the engine: whoever depends on this crate
//! can learn how things are, ask for a pass and have a server started again, and nothing else.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod acme;
pub mod certificate;
pub mod client;
pub mod countries;
pub mod event;
pub mod facts;
pub mod figures;
pub mod grant;
pub mod hold;
pub mod mail;
pub mod oidc;
pub mod outcome;
pub mod panel;
mod pass_record;
pub mod path;
pub mod power;
pub mod restore;
mod retry;
pub mod router;
pub mod scrape;
pub mod sight;
pub mod site;
pub mod standing;
pub mod status;
mod told;
mod told_file;
pub mod trouble;
pub mod usage;
pub mod web;

pub use event::{Event, Listener};
pub use outcome::{Ended, Outcome};
pub use pass_record::PassRecord;
pub use power::{PowerOrder, PowerRecord};
pub use retry::Retry;
pub use sight::Sight;
pub use standing::Standing;
pub use status::Status;
