//! The platform's mails: from the spool to a mail server.
//!
//! Owns the words of mails, the talk with the server, the pace and the bounds. Whoever has something to tell puts a letter into the spool
//! ([`berth_wire::mail`]); this crate's process alone sends. A mail holds names and a link, and nothing else of the platform.

mod deliver;
mod keeper;
mod ledger;
mod message;
mod settings;
mod trouble;
mod words;

pub use deliver::{Delivered, test};
pub use keeper::run;
pub use settings::{MailSettings, Pace};
pub use trouble::{MailError, Reached};
