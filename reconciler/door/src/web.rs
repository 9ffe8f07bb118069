//! The panel's door: `web.sock`, where the panel asks everything that it shows and changes.
//!
//! Owns who somebody is (passwords, tokens, invitations), what each person may see, and the grants for guarded sites. The panel has no hash, no state and no
//! git: it passes on what people type, and shows what it gets. Judging changes is `berth-judge`'s.

mod account;
mod api_tokens;
mod audit;
mod browse;
mod changes;
mod clock;
mod converse;
mod docs;
mod entry;
mod factors;
mod gate;
mod gate_door;
mod gone;
mod grants;
mod heard;
mod host;
mod invitations;
mod leads;
mod means;
mod oidc;
mod orders;
mod origin;
mod outcomes;
mod panel;
mod past;
mod power;
mod pulls;
mod questions;
mod read;
mod refusals;
mod route;
mod scopes;
mod search;
mod secret;
mod serve;
mod sessions;
mod sign_in;
mod site;
mod store;
mod sync;
mod throttle;
mod ticket;
mod tickets;
mod timeline;
mod tokens;
mod user_file;
mod wiki;

pub(crate) use audit::{Noted, audit_restart};
pub(crate) use changes::socket;
pub use clock::{Clock, Now};
pub use host::invite;
pub(crate) use outcomes::Outcomes;
pub use panel::{Panel, PanelError};
pub(crate) use past::{Extent, Made, Past};
pub use questions::{needs, paths};
pub(crate) use read::{Viewer, domain_card, line, quota, server_cards};
pub use secret::{NoRandom, SecretError};
pub use serve::{PanelDoor, SOCKET, SocketError};
pub use store::StoreError;
pub(crate) use tickets::Leased;
