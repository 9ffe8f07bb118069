//! The DNS zone in which a proof is put for as long as the CA looks for it (RFC 8555, 8.4).

use berth_schema::acme::{DnsProof, DnsWay};

use crate::account::mac_key;
use crate::program::Program;
use crate::settings::AcmeSettings;
use crate::trouble::{OrderError, ZoneError};
use crate::update::Updates;

/// Way into the zone.
pub(crate) enum Zone {
    Updates(Updates),
    Program(Program),
}

impl Zone {
    /// Finds the way that `platform.toml` names. `None` where it names none.
    pub(crate) fn find(settings: &AcmeSettings, dns: &DnsProof) -> Result<Option<Self>, OrderError> {
        let (place, pace) = (dns.place(&settings.domain), settings.zone_pace);
        let way = match dns.way() {
            Some(DnsWay::Update(server, name)) => {
                let key = mac_key(&settings.secrets, &dns.secret)?;
                Self::Updates(Updates::new(server, dns, &place, Some((name, key)), pace)?)
            }
            Some(DnsWay::Program(name)) => {
                let looks =
                    dns.server.map(|server| Updates::new(server, dns, &place, None, pace)).transpose()?;
                Self::Program(Program {
                    path: settings.programs.join(name),
                    place,
                    within: pace.program,
                    looks,
                })
            }
            None => return Ok(None),
        };
        Ok(Some(way))
    }

    /// Puts proofs into the zone, and returns when everybody can see them.
    pub(crate) async fn put(&self, proofs: &[String]) -> Result<(), ZoneError> {
        match self {
            Self::Updates(updates) => updates.put(proofs).await,
            Self::Program(program) => program.put(proofs).await,
        }
    }

    /// Takes proofs out of the zone.
    pub(crate) async fn take(&self, proofs: &[String]) -> Result<(), ZoneError> {
        match self {
            Self::Updates(updates) => updates.take(proofs).await,
            Self::Program(program) => program.take(proofs).await,
        }
    }
}
