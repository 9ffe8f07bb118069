//! Certificates of domains, as the reconciler finds them with the web server. Nothing is decided by them.

use berth_schema::name::Fqdn;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most domains that one request may ask for.
pub const DOMAINS_AT_ONCE: usize = 100;

/// Certificate of a domain from the CA, and the last try to get one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCertificate {
    /// The domain.
    pub fqdn: Fqdn,
    /// The certificate that the web server has; `None` where it has none.
    pub held: Option<Held>,
    /// The last try, where it failed and none has succeeded since.
    pub failed: Option<Failed>,
}

/// A certificate that the web server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Name of whoever issued it, as the certificate says it.
    pub issuer: String,
    /// The moment from which nobody accepts it any more.
    pub ends: Timestamp,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The failure in the CA's or the web server's words.
    pub why: String,
    /// Moment of it.
    pub at: Timestamp,
}
