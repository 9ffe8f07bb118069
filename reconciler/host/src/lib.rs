//! Needs that Berth's programs have of the host they run on, each met in one way: replacing a file, locking, making a
//! socket, writing as a repository's owner, ending not before a change is whole, ending a process with everything it started, waiting longer each time,
//! telling the service manager that it works.
//!
//! Small on purpose, since `berth-runtime` links it: no async runtime, no git, no Docker, no knowledge of a platform.
//! It decides nothing; its callers say what is written, locked or ended.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod cgroup;
pub mod critical;
pub mod file;
pub mod process;
pub mod service;

mod admit;
mod apparmor;
mod guest;
mod lock;
mod network;
mod owner;
mod panel;
mod socket;
mod waits;
mod way;

pub use admit::admit;
pub use apparmor::{SERVER_PROFILE, has_apparmor, loaded_profiles};
pub use guest::{GuestFile, GuestSocket};
pub use lock::FileLock;
pub use network::network_of;
pub use owner::{Acting, Owner};
pub use panel::{
    METRICS_GROUP, PANEL_GROUP, PANEL_SOCKET, PANELS, PanelFolder, give_to_panel, make_passage, panel_group,
};
pub use socket::StagedSocket;
pub use waits::Waits;
pub use way::{EDITION, FIRST_RANGE, NoWay, RANGE, RANGES, SERVERS, Way, WayRecord};
