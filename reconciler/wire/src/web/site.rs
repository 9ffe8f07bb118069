//! Questions about guarded sites: domains whose `access` isn't `public`. The panel leads somebody in, and the gate lets them in and
//! goes on asking whether they still may.

use berth_schema::name::Fqdn;
use serde::{Deserialize, Serialize};

use super::{Done, Secret, questions};

questions! {
    Open, "/open", Known => Opened;
    Enter, "/enter", Anybody => Granted;
    Renew, "/renew", Anybody => Granted;
    GateCounted, "/gate/counted", Anybody => Done;
}

/// Asks for a way into a guarded site. It is for the browser alone to which the gate gave the secret behind `challenge`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open {
    /// Name of the site, as the gate said it.
    pub host: String,
    /// Digest of the secret that the gate gave the browser: 43 characters.
    pub challenge: String,
}

/// A way in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// Address to which the browser goes next, on the site itself. It is good once, for thirty seconds.
    pub url: Secret,
}

/// Uses a way in up. The gate asks this, at a socket of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enter {
    /// Name of the site.
    pub host: Fqdn,
    /// Secret from the address.
    pub code: Secret,
    /// Digest of the secret that the browser showed.
    pub challenge: String,
}

/// Asks for a newer grant in the place of one that runs out or has run out. The gate asks this, at a socket of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Renew {
    /// The grant so far.
    pub grant: Secret,
}

/// Tells what the gate counts. The gate asks this, at a socket of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateCounted {
    /// Text of the counts.
    pub counts: String,
}

/// A grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Granted {
    /// Its text ([`crate::grant`]).
    pub grant: Secret,
}
