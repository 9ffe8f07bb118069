//! Setup: the needs that Berth has of the Docker engine, and the way in which an engine that is there already meets them.
//!
//! - [`settings`] merges the needs into a `daemon.json`: pure, every conflict at once, and a difference to show first.
//! - [`subordinate`] gives the remapped user its range of ids, beside those of others.
//! - [`lacks`] compares the needs with the running engine's own account of itself.
//! - [`probe`] has `berth-runtime` try how far this host can keep servers apart.
//! - [`apparmor`] has Berth's profiles loaded where the kernel has AppArmor.
//! - [`keys`] says whether the host has room for the servers' session keys.
//!
//! Refuses to overwrite: a setting that says something else is a conflict for a person to solve, and every file that
//! changes keeps a copy of what it was. Restarting the engine is the caller's to ask for.

use std::path::PathBuf;

use berth_host::Way;

pub mod apparmor;
pub mod keys;
mod lacks;
pub mod probe;
mod put;
pub mod settings;
pub mod subordinate;

pub use lacks::{Lack, lacks};
pub use put::{PutError, put};

/// The value of `userns-remap` with which the engine makes and uses its own user.
pub const DEFAULT_REMAP: &str = "default";

/// Reason for which `firewall-backend: nftables` of Docker 29 can't be: its networks would be open where Berth's rules close them.
pub const NFTABLES: &str = "the engine's firewall-backend is nftables: it has no chain DOCKER-USER, in which the platform's rules for \
    the host stand, and doesn't turn forwarding on; take `firewall-backend` out, or make it \"iptables\"";

/// The user that [`DEFAULT_REMAP`] stands for.
pub const DEFAULT_REMAP_USER: &str = "dockremap";

/// Needs of servers that run in a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The value for `userns-remap`: `default`, a user, or `user:group`.
    pub userns_remap: String,
    /// The path at which `berth-runtime` is installed.
    pub runtime: PathBuf,
    /// The way in which servers are to be told apart; `None` leaves it as it is.
    pub way: Option<Way>,
}

impl Needs {
    /// The usual needs: the engine's own remapped user, and the runtime at `runtime`.
    pub fn new(runtime: impl Into<PathBuf>) -> Self {
        Self { userns_remap: DEFAULT_REMAP.to_owned(), runtime: runtime.into(), way: None }
    }

    /// The user whose subordinate ids the engine will use.
    pub fn remap_user(&self) -> &str {
        match self.userns_remap.split(':').next() {
            None | Some(DEFAULT_REMAP) => DEFAULT_REMAP_USER,
            Some(user) => user,
        }
    }
}
