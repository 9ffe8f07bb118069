//! Settings: what `platform.toml` says, and the places of this host.

use std::path::PathBuf;
use std::time::Duration;

use berth_ca::Pace;
use berth_schema::name::Fqdn;
use berth_schema::platform::Acme;
use berth_secrets::Secrets;

/// Account and certificate to be kept, and their places.
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    /// The CA, the account there, and the way to the DNS zone.
    pub acme: Acme,
    /// The platform's domain.
    pub domain: Fqdn,
    /// Folder of the account, the certificate and the standing.
    pub folder: PathBuf,
    /// Folder of the host's programs for DNS.
    pub programs: PathBuf,
    /// The secrets of this host.
    pub secrets: Secrets,
    /// Folder in which the web server finds what is handed to it.
    pub edge: PathBuf,
    /// Folder in which the panel does; `None` without a panel.
    pub panel: Option<PathBuf>,
    /// Pace of asking the CA.
    pub pace: Pace,
    /// Deadlines of whatever brings a proof into the zone.
    pub zone_pace: ZonePace,
}

/// Deadlines of whatever brings a proof into the zone.
#[derive(Debug, Clone, Copy)]
pub struct ZonePace {
    /// Time for a name server to answer.
    pub update: Duration,
    /// Time for every name server of the zone to serve a proof.
    pub visible: Duration,
    /// Time for a program of the host's.
    pub program: Duration,
}

impl Default for ZonePace {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self { update: Duration::from_secs(10), visible: minutes(2), program: minutes(10) }
    }
}
