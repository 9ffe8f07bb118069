//! Dynamic updates of a zone (RFC 2136), signed with a key (RFC 8945), over TCP.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use berth_schema::acme::{DnsProof, KeyAlgorithm};
use hickory_net::client::{Client, ClientHandle as _};
use hickory_net::proto::op::{DnsResponse, ResponseCode};
use hickory_net::proto::rr::rdata::TXT;
use hickory_net::proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_net::proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType, TSigner};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::{DnsMultiplexer, NetError};
use tokio::time::sleep;

use crate::settings::ZonePace;
use crate::trouble::ZoneError;

/// Seconds for which others may remember a proof.
const TTL: u32 = 60;
/// Seconds by which the name server's clock may differ from ours; what RFC 8945, 10 recommends.
const FUDGE: u16 = 300;
/// Wait between two looks whether a proof can be seen.
const LOOK: Duration = Duration::from_millis(500);
/// The port of name servers.
const PORT: u16 = 53;

/// Dynamic updates at one name. Its key is in no `Debug`.
pub(crate) struct Updates {
    server: SocketAddr,
    /// The zone, where somebody has named it.
    zone: Option<Name>,
    place: Name,
    /// Without it, the zone is only looked at.
    signer: Option<TSigner>,
    pace: ZonePace,
}

/// A connection to one name server. Its driver ends with it.
struct Connection {
    server: SocketAddr,
    client: Client<TokioRuntimeProvider>,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Updates {
    /// Updates at `place` by this server, signed with a key, which has a name. Without one, it is only looked at what is there.
    pub(crate) fn new(
        server: SocketAddr,
        dns: &DnsProof,
        place: &str,
        key: Option<(&str, Vec<u8>)>,
        pace: ZonePace,
    ) -> Result<Self, ZoneError> {
        let algorithm = match dns.algorithm {
            KeyAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
            KeyAlgorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
            KeyAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
        };
        let signer = key.map(|(key_name, key)| {
            let signer = TSigner::new(key, algorithm, name(key_name)?, FUDGE);
            signer.map_err(|error| ZoneError::Key(error.into()))
        });
        Ok(Self {
            server,
            zone: dns.zone.as_ref().map(|zone| name(zone.as_str())).transpose()?,
            place: name(place)?,
            signer: signer.transpose()?,
            pace,
        })
    }

    /// Adds proofs, and returns when every name server of the zone that can be reached serves them.
    pub(crate) async fn put(&self, proofs: &[String]) -> Result<(), ZoneError> {
        let mut connection = self.connect(self.server).await?;
        let zone = self.zone(&mut connection).await?;
        let answer = connection.client.append(self.records(proofs), zone.clone(), false).await;
        self.accepted(answer)?;
        self.wait(&mut connection, &zone, proofs).await
    }

    /// Takes proofs away.
    pub(crate) async fn take(&self, proofs: &[String]) -> Result<(), ZoneError> {
        let mut connection = self.connect(self.server).await?;
        let zone = self.zone(&mut connection).await?;
        let answer = connection.client.delete_by_rdata(self.records(proofs), zone).await;
        self.accepted(answer)
    }

    /// Waits until every name server of the zone that can be reached serves proofs.
    pub(crate) async fn seen(&self, proofs: &[String]) -> Result<(), ZoneError> {
        let mut connection = self.connect(self.server).await?;
        let zone = self.zone(&mut connection).await?;
        self.wait(&mut connection, &zone, proofs).await
    }

    fn records(&self, proofs: &[String]) -> RecordSet {
        let mut records = RecordSet::with_ttl(self.place.clone(), RecordType::TXT, TTL);
        for proof in proofs {
            let data = RData::TXT(TXT::new(vec![proof.clone()]));
            records.insert(Record::from_rdata(self.place.clone(), TTL, data), 0);
        }
        records
    }

    /// The zone that is updated: the one that was named, or the one whose server this is.
    async fn zone(&self, connection: &mut Connection) -> Result<Name, ZoneError> {
        if let Some(zone) = &self.zone {
            return Ok(zone.clone());
        }
        let answer = connection.ask(&self.place, RecordType::SOA).await?;
        let records = answer.answers.iter().chain(&answer.authorities);
        // A recursive server may tell of an alias first, and of the zone that this leads to.
        let mut zones = records.filter(|record| record.record_type() == RecordType::SOA).map(|soa| &soa.name);
        let no_zone = || ZoneError::NoZone { server: self.server, place: told(&self.place) };
        zones.find(|zone| zone.zone_of(&self.place)).cloned().ok_or_else(no_zone)
    }

    /// Waits until the proofs are served by the server, and by those of the zone's name servers that answer.
    async fn wait(
        &self,
        connection: &mut Connection,
        zone: &Name,
        proofs: &[String],
    ) -> Result<(), ZoneError> {
        let within = self.pace.visible;
        let until = Instant::now() + within;
        let mut others = Vec::new();
        for server in self.others(connection, zone).await {
            // Who can't be reached from here may be reached by the CA, or not: it isn't for us to know.
            match self.connect(server).await {
                Ok(other) => others.push(other),
                Err(error) => tracing::debug!(%server, %error, "a name server isn't asked for the proof"),
            }
        }
        let place = || told(&self.place);
        loop {
            let mut missing = None;
            for server in std::iter::once(&mut *connection).chain(&mut others) {
                let is_there = match server.ask(&self.place, RecordType::TXT).await {
                    Ok(answer) => serves(&answer, proofs),
                    Err(_) => false,
                };
                if !is_there {
                    missing = Some(server.server);
                }
            }
            let Some(server) = missing else { return Ok(()) };
            if Instant::now() > until {
                return Err(ZoneError::Invisible { server: server.to_string(), place: place(), within });
            }
            sleep(LOOK).await;
        }
    }

    /// Addresses of the zone's name servers.
    async fn others(&self, connection: &mut Connection, zone: &Name) -> BTreeSet<SocketAddr> {
        let Ok(answer) = connection.ask(zone, RecordType::NS).await else { return BTreeSet::new() };
        let names = answer.answers.iter().filter_map(|record| match &record.data {
            RData::NS(server) => Some(server.0.to_ascii()),
            _ => None,
        });
        let mut found = BTreeSet::new();
        for name in names {
            let looked = tokio::net::lookup_host((name.trim_end_matches('.'), PORT));
            if let Ok(Ok(addresses)) = tokio::time::timeout(self.pace.update, looked).await {
                found.extend(addresses.filter(|address| address.ip() != self.server.ip()));
            }
        }
        found
    }

    fn accepted(&self, answer: Result<DnsResponse, NetError>) -> Result<(), ZoneError> {
        let answer = answer.map_err(|error| match error {
            // Whoever doesn't know a key can't sign with it that they don't.
            NetError::Proto(why) => ZoneError::WrongKey {
                server: self.server,
                key: self.signer.as_ref().map(|signer| told(signer.signer_name())).unwrap_or_default(),
                why: why.to_string(),
            },
            error => ZoneError::Unreachable { server: self.server, why: error.to_string() },
        })?;
        let why = match answer.response_code {
            ResponseCode::NoError => return Ok(()),
            ResponseCode::NotAuth => "the zone isn't its own (NOTAUTH)",
            ResponseCode::Refused => "the key may not change this name (REFUSED)",
            ResponseCode::NotZone => "the name isn't in that zone (NOTZONE)",
            ResponseCode::NotImp => "it takes no dynamic updates (NOTIMP)",
            ResponseCode::ServFail => "it failed; its log says why (SERVFAIL)",
            _ => "its answer is an error",
        };
        Err(ZoneError::Refused { server: self.server, place: told(&self.place), why: why.to_owned() })
    }

    async fn connect(&self, server: SocketAddr) -> Result<Connection, ZoneError> {
        let within = self.pace.update;
        let (stream, handle) =
            TcpClientStream::new(server, None, Some(within), TokioRuntimeProvider::default());
        let unreachable = |error: NetError| ZoneError::Unreachable { server, why: error.to_string() };
        let stream = stream.await.map_err(unreachable)?;
        let sender = DnsMultiplexer::new(stream, handle).with_timeout(within);
        let sender = match &self.signer {
            Some(signer) => sender.with_signer(signer.clone()),
            None => sender,
        };
        let (client, driver) = Client::from_sender(sender);
        let driver = tokio::spawn(async move {
            // A failure is the answer to the request that met it.
            let _ = driver.await;
        });
        Ok(Connection { server, client, driver })
    }
}

impl Connection {
    async fn ask(&mut self, name: &Name, kind: RecordType) -> Result<DnsResponse, ZoneError> {
        let answer = self.client.query(name.clone(), DNSClass::IN, kind).await;
        answer.map_err(|error| ZoneError::Unreachable { server: self.server, why: error.to_string() })
    }
}

/// Returns whether an answer holds all the proofs.
fn serves(answer: &DnsResponse, proofs: &[String]) -> bool {
    let texts: Vec<Vec<u8>> = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        })
        .collect();
    proofs.iter().all(|proof| texts.iter().any(|text| text == proof.as_bytes()))
}

/// A name, as people write it.
fn told(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// A name from the root.
fn name(text: &str) -> Result<Name, ZoneError> {
    let mut name = Name::from_str(text).map_err(|_| ZoneError::Name(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}
