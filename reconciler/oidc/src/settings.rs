//! Settings: what `platform.toml` says, and the places of this host.

use std::path::PathBuf;
use std::time::Duration;

use berth_host::Owner;
use berth_schema::oidc::Oidc;
use berth_secrets::Secrets;

/// A provider that is reached, and for whom.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The provider and the panel's name there.
    pub oidc: Oidc,
    /// The secrets of this host.
    pub secrets: Secrets,
    /// Path of the socket.
    pub socket: PathBuf,
    /// The user who may open it besides root: the owner of the state repo, as whom a door may run. `None` for root alone.
    pub owner: Option<Owner>,
    /// Time that the provider has for one answer.
    pub within: Duration,
}

impl OidcSettings {
    /// Usual time for one answer of a provider.
    pub const WITHIN: Duration = Duration::from_secs(8);
}
