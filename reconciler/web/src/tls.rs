//! The certificate: one that an admin has put into the panel's data; or else one that a CA has given; or else one of its own.
//!
//! A certificate that an admin put there is read again when it changes; one that can't be read never takes the place of one
//! that works.

mod ordered;
mod own;
mod pair;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use berth_wire::certificate::{CertificateSource, CertificateStanding, FailedOrder, OrderStanding};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use pair::{certified, lifetime};

pub use ordered::{Ordered, OrderedError};
pub use own::{OwnError, ca_path};

/// Time after which a certificate of the panel's own is made anew: a third of the time that it is good for.
const OWN_STAYS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The certificate can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum TlsError {
    /// A file that an admin put there.
    #[error("cannot read {path}")]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A key that isn't the certificate's.
    #[error("cannot use {path} with the key beside it")]
    Pair {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// The panel's own.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// The library refuses the settings.
    #[error("cannot set TLS up")]
    Setup(#[source] rustls::Error),
}

/// The certificate, as it is now. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data: PathBuf,
    domain: String,
    current: RwLock<Current>,
    /// One that a CA has given.
    ordered: RwLock<Option<Ordered>>,
    /// The CA that is asked, and how that goes.
    order: RwLock<Option<OrderStanding>>,
    /// Standing that was told last.
    told: Mutex<Option<CertificateStanding>>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    source: Source,
    /// Files of an admin that can't be used.
    refused: Option<Stamp>,
}

/// Source of the certificate.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    /// The files of an admin, with what tells whether they have changed.
    Files(Stamp),
    /// A CA, with the end of what it gave.
    Acme(Timestamp),
    /// The panel's own CA.
    Own(Instant),
}

/// Identity of the two files, by which a change is noticed.
type Stamp = [(SystemTime, u64); 2];

impl Certificates {
    /// Finds the certificate for a name in the panel's data, or makes one. `ordered` is one that a CA gave before, and `order`
    /// says which CA is asked.
    pub fn open(
        data: &Path,
        domain: &str,
        ordered: Option<Ordered>,
        order: Option<OrderStanding>,
    ) -> Result<Self, TlsError> {
        let refused = stamp(data);
        let found = refused.map(|stamp| files(data).map(|key| (key, Source::Files(stamp))));
        let (key, source) = match found {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                tracing::error!(
                    error = berth_fault::chain(&error),
                    "the certificate in the folder `tls` can't be used; the panel takes another"
                );
                second_best(data, domain, ordered.as_ref())?
            }
            None => second_best(data, domain, ordered.as_ref())?,
        };
        let refused = refused.filter(|stamp| source != Source::Files(*stamp));
        Ok(Self(Arc::new(Inner {
            data: data.to_owned(),
            domain: domain.to_owned(),
            current: RwLock::new(Current { key, source, refused }),
            ordered: RwLock::new(ordered),
            order: RwLock::new(order),
            told: Mutex::default(),
        })))
    }

    /// Returns whether it is one of the panel's own, which no browser trusts by itself.
    pub fn is_own(&self) -> bool {
        self.source() == CertificateSource::Own
    }

    /// Source of the certificate.
    pub fn source(&self) -> CertificateSource {
        self.0.current.read().source.told()
    }

    /// Takes one that a CA has given.
    pub fn take(&self, ordered: Ordered) {
        *self.0.ordered.write() = Some(ordered);
        if let Some(order) = &mut *self.0.order.write() {
            order.failed = None;
        }
        self.look();
    }

    /// Notes that an order has failed.
    pub fn note(&self, failed: FailedOrder) {
        if let Some(order) = &mut *self.0.order.write() {
            order.failed = Some(failed);
        }
        self.tell();
    }

    /// The last order, if it has failed.
    pub fn failed(&self) -> Option<FailedOrder> {
        self.0.order.read().as_ref()?.failed.clone()
    }

    /// The moment to order another one from the CA; `None` where there is none from it yet.
    pub fn renew_at(&self) -> Option<Timestamp> {
        self.0.ordered.read().as_ref().map(Ordered::renew_at)
    }

    /// Looks for a certificate that an admin has put there or taken away, and takes another one in time. Tells what came of it.
    pub fn look(&self) {
        self.look_at(Timestamp::now());
        self.tell();
    }

    fn look_at(&self, now: Timestamp) {
        let Inner { data, domain, current, ordered, .. } = &*self.0;
        let (source, refused, found) = {
            let current = current.read();
            (current.source, current.refused, stamp(data))
        };
        if let Some(found) = found {
            if source == Source::Files(found) {
                return;
            }
            if refused != Some(found) {
                match files(data) {
                    Ok(key) => return self.change(key, Source::Files(found), None),
                    Err(error) => keeps(&error),
                }
            }
            current.write().refused = Some(found);
            // What was there before works, and has an admin's word.
            if matches!(source, Source::Files(_)) {
                return;
            }
        }
        let ordered = ordered.read().clone().filter(|ordered| now < ordered.ends());
        let stays = match (source, &ordered) {
            (Source::Acme(ends), Some(ordered)) => ends == ordered.ends(),
            (Source::Own(since), None) => since.elapsed() < OWN_STAYS,
            _ => false,
        };
        if stays {
            return;
        }
        match second_best(data, domain, ordered.as_ref()) {
            Ok((key, source)) => self.change(key, source, found),
            Err(error) => {
                keeps(&error);
                if let Source::Own(since) = &mut current.write().source {
                    // Said once.
                    *since = Instant::now();
                }
            }
        }
    }

    fn change(&self, key: Arc<CertifiedKey>, source: Source, refused: Option<Stamp>) {
        tracing::info!(source = ?source.told(), "the panel has another certificate");
        *self.0.current.write() = Current { key, source, refused };
    }

    /// Tells how things are, if they have changed.
    fn tell(&self) {
        let Inner { data, told, .. } = &*self.0;
        let standing = self.standing();
        let mut told = told.lock();
        if told.as_ref() == Some(&standing) {
            return;
        }
        if let Err(error) = standing.write(data) {
            tracing::warn!(%error, "`berth status` can't be told of the certificate");
        }
        *told = Some(standing);
    }

    /// Returns how things are.
    pub fn standing(&self) -> CertificateStanding {
        let Inner { domain, current, order, .. } = &*self.0;
        let current = current.read();
        CertificateStanding {
            domain: domain.clone(),
            source: current.source.told(),
            ends: lifetime(&current.key).map(|(_, ends)| ends),
            order: order.read().clone(),
        }
    }

    /// Settings of TLS with this certificate.
    pub fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current.read().key))
    }
}

fn certificate_path(data: &Path) -> PathBuf {
    data.join("tls/cert.pem")
}

fn key_path(data: &Path) -> PathBuf {
    data.join("tls/key.pem")
}

/// Stamp of the two files, if both are there.
fn stamp(data: &Path) -> Option<Stamp> {
    let of = |path: PathBuf| -> io::Result<_> {
        let found = fs::metadata(path)?;
        Ok((found.modified()?, found.len()))
    };
    Some([of(certificate_path(data)).ok()?, of(key_path(data)).ok()?])
}

fn files(data: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let (path, key) = (certificate_path(data), key_path(data));
    let chain = CertificateDer::pem_file_iter(&path).and_then(|chain| chain.collect::<Result<Vec<_>, _>>());
    let chain = chain.map_err(|source| TlsError::Pem { path: path.clone(), source })?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|source| TlsError::Pem { path: key, source })?;
    certified(chain, key).map_err(|source| TlsError::Pair { path, source })
}

/// One that a CA gave, if it is good yet, or one of the panel's own.
fn second_best(
    data: &Path,
    domain: &str,
    ordered: Option<&Ordered>,
) -> Result<(Arc<CertifiedKey>, Source), TlsError> {
    if let Some(ordered) = ordered.filter(|ordered| Timestamp::now() < ordered.ends()) {
        return Ok((Arc::clone(&ordered.key), Source::Acme(ordered.ends())));
    }
    let (chain, key) = own::issue(data, domain)?;
    let key = certified(chain, key).map_err(TlsError::Setup)?;
    Ok((key, Source::Own(Instant::now())))
}

fn keeps(error: &TlsError) {
    let error = berth_fault::chain(error);
    tracing::error!(error, "the panel keeps its certificate, since the new one can't be used");
}

impl Source {
    fn told(self) -> CertificateSource {
        match self {
            Self::Files(_) => CertificateSource::Files,
            Self::Acme(_) => CertificateSource::Acme,
            Self::Own(_) => CertificateSource::Own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "panel.example.org";

    fn put(data: &Path, chain: &[u8], key: &[u8]) {
        fs::create_dir_all(data.join("tls")).unwrap();
        berth_host::file::replace(&certificate_path(data), chain, 0o644).unwrap();
        berth_host::file::replace(&key_path(data), key, 0o600).unwrap();
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn leaf(certificates: &Certificates) -> Vec<u8> {
        certificates.0.current.read().key.cert[0].to_vec()
    }

    #[test]
    fn an_admin_s_certificate_takes_over_and_a_broken_one_does_not() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path();
        let certificates = Certificates::open(data, DOMAIN, None, None).unwrap();
        assert!(certificates.is_own());
        let own = leaf(&certificates);
        certificates.look();
        assert_eq!(leaf(&certificates), own);

        let (chain, key) = pair();
        put(data, chain.as_bytes(), key.as_bytes());
        certificates.look();
        assert!(!certificates.is_own());
        let good = leaf(&certificates);

        for (chain, key) in [(pair().0, key), ("nonsense".to_owned(), "nonsense".to_owned())] {
            put(data, chain.as_bytes(), key.as_bytes());
            certificates.look();
            assert_eq!(leaf(&certificates), good);
        }
        // A process that begins with it has one of its own instead.
        assert!(Certificates::open(data, DOMAIN, None, None).unwrap().is_own());

        fs::remove_dir_all(data.join("tls")).unwrap();
        certificates.look();
        assert!(certificates.is_own());
    }

    #[test]
    fn the_own_ca_stays() {
        let home = tempfile::tempdir().unwrap();
        let read = || fs::read_to_string(ca_path(home.path(), DOMAIN)).unwrap();
        let first = leaf(&Certificates::open(home.path(), DOMAIN, None, None).unwrap());
        let ca = read();
        let second = leaf(&Certificates::open(home.path(), DOMAIN, None, None).unwrap());
        assert_eq!(read(), ca);
        assert_ne!(first, second);
    }
}
