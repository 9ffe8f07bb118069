//! Links of the user plane: veth pairs between the plane's network namespace and the namespace of a container.
//!
//! There is no shared wire: every container has a link of its own to the plane, with a /32 address and fixed neighbours,
//! so the plane's firewall sees every packet, and nothing on a link can be learned, poisoned or flooded.
//!
//! Synchronous on purpose: the runtime's hook, which runs before a container's first process, uses it as well as the
//! reconciler. It makes and removes links; its callers decide which ones there should be. It also keeps what both must
//! find: the place of a plane, and the host's rules that must be in force before there is one.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod error;
mod host;
pub mod iptables;
mod link;
mod member;
mod namespace;
mod netlink;
mod pair;
mod plane;
mod registration;

pub use error::{Error, Result};
pub use host::{HOST_RULES, KeptRules, Lead};
pub use link::{Inside, Link};
pub use member::{InvalidMember, Member};
pub use namespace::Namespace;
pub use plane::{Plane, Port};
pub use registration::{REGISTRATIONS, Registration};
