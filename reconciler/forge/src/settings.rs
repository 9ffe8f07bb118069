//! Settings of the follower: where this host keeps things.

use std::path::PathBuf;

use berth_secrets::Secrets;

/// The places that the follower needs.
#[derive(Debug, Clone)]
pub struct FollowSettings {
    /// The state repo.
    pub state: PathBuf,
    /// The folder for what is known of the forge.
    pub folder: PathBuf,
    /// The secrets of this host.
    pub secrets: Secrets,
    /// The reconciler's socket.
    pub socket: PathBuf,
}
