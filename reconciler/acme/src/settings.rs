//! Settings: what `platform.toml` says, and the places of this host.

use std::path::PathBuf;
use std::time::Duration;

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
    /// Deadlines and waits.
    pub pace: Pace,
}

/// Deadlines and waits.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time for the CA to answer a request.
    pub request: Duration,
    /// Time for a name server to answer.
    pub update: Duration,
    /// Time for every name server of the zone to serve a proof.
    pub visible: Duration,
    /// Time for a program of the host's.
    pub program: Duration,
    /// Time for the CA to look at the proofs, and again for it to sign.
    pub order: Duration,
    /// Wait after the first failure. The next are twice as long each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// The shortest wait after the CA said that there were too many orders.
    pub limited: Duration,
    /// The longest wait where the CA wasn't asked: for a secret, a zone, a folder.
    pub near: Duration,
    /// Time between two looks whether something is due.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            request: Duration::from_secs(30),
            update: Duration::from_secs(10),
            visible: minutes(2),
            program: minutes(10),
            order: minutes(5),
            // Let's Encrypt allows five failed proofs of a name an hour.
            first: minutes(2),
            longest: minutes(4 * 60),
            limited: minutes(60),
            near: minutes(1),
            look: Duration::from_secs(10),
        }
    }
}
