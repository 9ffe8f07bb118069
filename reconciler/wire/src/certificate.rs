//! The panel's certificate, as the panel tells of it: a file in the panel's data, so that it can be read while nobody serves.
//!
//! The file is the panel's, and its reader may be root. So it is read as a stranger's: small, no link, no pipe; its words are
//! somebody else's until they are shown as such.

use std::io;
use std::path::{Path, PathBuf};

use berth_schema::panel::{PanelEdge, PanelTls};
use berth_schema::platform::Platform;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::told_file;

/// The file's name in the panel's data.
const FILE: &str = "certificate.json";

/// The certificate that the panel serves with, and the order for a better one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStanding {
    /// The panel's name.
    pub domain: String,
    /// Source of the certificate.
    pub source: CertificateSource,
    /// The moment from which nobody accepts it any more.
    pub ends: Option<Timestamp>,
    /// The CA that is asked for one; `None` where none is.
    pub order: Option<OrderStanding>,
}

/// Source of the panel's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateSource {
    /// Files that an admin put into the panel's data.
    Files,
    /// An ACME CA.
    Acme,
    /// The panel's own CA, which browsers don't know.
    Own,
}

/// The CA that is asked for a certificate, and how that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStanding {
    /// URL of the CA's directory.
    pub directory: String,
    /// Proof that the panel has its name.
    pub proof: Proof,
    /// The last order, if it failed.
    pub failed: Option<FailedOrder>,
}

/// Proof of a name that a CA asks for (RFC 8555, RFC 8737).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// An answer over plain HTTP at port 80 of the name.
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate at port 443 of the name.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A record in the DNS zone of the platform's domain. Berth itself gives it, for a wildcard certificate.
    #[serde(rename = "dns-01")]
    Dns01,
}

/// An order that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedOrder {
    /// Kind of the failure.
    pub kind: OrderFailure,
    /// The failure in a sentence.
    pub why: String,
    /// Moment of it.
    pub at: Timestamp,
    /// Orders that failed before it, one after the other.
    pub before: u32,
    /// Moment of the next order.
    pub again: Timestamp,
}

/// Kind of a failed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderFailure {
    /// The CA can't be reached.
    Unreachable,
    /// The CA was reached, or nearly so, and doesn't answer.
    Silent,
    /// The CA refuses.
    Refused,
    /// The CA allows no more orders for now.
    RateLimited,
    /// The CA didn't find the panel at its name.
    Unproven,
    /// The CA's answer makes no sense.
    Unreadable,
    /// The folder of account and certificate fails.
    Folder,
    /// A secret is missing, or can't be used.
    Secret,
    /// The proof doesn't get into the DNS zone.
    Zone,
}

impl OrderFailure {
    /// Advice on a failure, where there is any; the proof is the one that the CA was to see.
    pub fn hint(self, proof: Proof) -> Option<&'static str> {
        match (self, proof) {
            (Self::Unproven, Proof::Dns01) => Some(
                "every name server of the zone has to serve the proof, and `_acme-challenge` below the domain must not be an alias unless \
                 `acme.dns.alias` names where it leads",
            ),
            (Self::Folder, Proof::Dns01) => Some("its disk needs room"),
            (Self::Unproven, Proof::Http01) => Some(
                "the name's DNS records have to lead here, and port 80 there to this platform's web server",
            ),
            (Self::Unproven, Proof::TlsAlpn01) => {
                Some("the name's DNS records have to lead here, and port 443 there to the panel")
            }
            (Self::Unreachable | Self::Silent, _) => Some(
                "the machine has to reach the CA over HTTPS; the root of a private one belongs into `acme.ca`",
            ),
            (Self::Folder, _) => {
                Some("the folder has to belong to the user berth-web, and its disk needs room")
            }
            (Self::Zone, _) => {
                Some("docs/domains.md says what `[acme.dns]` needs of a name server, and of a program")
            }
            (Self::Refused | Self::RateLimited | Self::Unreadable | Self::Secret, _) => None,
        }
    }
}

impl Proof {
    /// The proof of its name that the panel can give to the platform's CA. `None` where it can't give any, or isn't to ask for a
    /// certificate, or where there is no panel.
    pub fn of(platform: &Platform) -> Option<Self> {
        let panel = platform.panel.as_ref()?;
        match panel.tls {
            PanelTls::Internal => None,
            PanelTls::Auto if panel.domain.is_local() => None,
            PanelTls::Auto if platform.is_under_wildcard(&panel.domain) => Some(Self::Dns01),
            // A CA comes to this port, or to the edge's, and to no other.
            PanelTls::Auto if platform.public_panel_port() == Some(443) => Some(Self::TlsAlpn01),
            PanelTls::Auto if platform.panel_edge() != PanelEdge::None => Some(Self::Http01),
            PanelTls::Auto => None,
        }
    }

    /// Name of the challenge in RFC 8555 and RFC 8737.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "HTTP-01",
            Self::TlsAlpn01 => "TLS-ALPN-01",
            Self::Dns01 => "DNS-01",
        }
    }
}

impl CertificateStanding {
    /// Path of the file in the panel's data.
    pub fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// Reads what the panel has told; `None` where it never did, or told something else.
    pub fn read(data: &Path) -> Option<Self> {
        told_file::read(&Self::path(data))
    }

    /// Tells it.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        told_file::write(&Self::path(data), self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_read_as_it_was_told_and_anything_else_is_not() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        assert_eq!(CertificateStanding::read(data), None);
        let failed = FailedOrder {
            kind: OrderFailure::RateLimited,
            why: "the CA allows no more orders for now".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            before: 2,
            again: Timestamp::UNIX_EPOCH,
        };
        let order = OrderStanding {
            directory: "https://ca.example.org/dir".to_owned(),
            proof: Proof::TlsAlpn01,
            failed: Some(failed),
        };
        let told = CertificateStanding {
            domain: "panel.example.org".to_owned(),
            source: CertificateSource::Own,
            ends: None,
            order: Some(order),
        };
        told.write(data).unwrap();
        assert_eq!(CertificateStanding::read(data), Some(told));
        fs::write(CertificateStanding::path(data), "[]").unwrap();
        assert_eq!(CertificateStanding::read(data), None);
    }
}
