//! Settings of the door: where this host keeps things, and what commands may take.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The places that the door needs, and the resolver that its commands ask.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// The state repo.
    pub state: PathBuf,
    /// Berth's own data, by which hooks find the reconciler.
    pub data: PathBuf,
    /// The folder of the members' views.
    pub views: PathBuf,
    /// The resolver that is asked whose a domain is, where that is said for this host.
    pub resolver: Option<SocketAddr>,
}

/// Limits of commands.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Commands at once.
    pub commands: usize,
    /// Commands at once of one user.
    pub commands_each: usize,
    /// The longest without a byte in either direction. Git itself speaks every five seconds while its hooks work.
    pub idle: Duration,
    /// The longest in all.
    pub whole: Duration,
}
