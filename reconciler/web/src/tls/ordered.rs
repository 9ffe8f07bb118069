//! A certificate that a CA has given.

use std::sync::Arc;

use berth_ca::renew_at;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::sign::CertifiedKey;

use super::pair::{certified, lifetime};

/// A certificate that a CA has given, with its key.
#[derive(Debug, Clone)]
pub struct Ordered {
    pub(super) key: Arc<CertifiedKey>,
    begins: Timestamp,
    ends: Timestamp,
}

/// The CA's answer is no certificate with its key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OrderedError {
    #[error("cannot read the certificate or its key")]
    Pem(#[from] pem::Error),
    #[error("cannot use the certificate with its key")]
    Pair(#[from] rustls::Error),
    #[error("cannot find out how long the certificate is good for")]
    Lifetime,
}

impl Ordered {
    /// Reads a key and its chain, in PEM.
    pub fn parse(text: &[u8]) -> Result<Self, OrderedError> {
        let key = PrivateKeyDer::from_pem_slice(text)?;
        let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
        let key = certified(chain, key)?;
        let (begins, ends) = lifetime(&key).ok_or(OrderedError::Lifetime)?;
        Ok(Self { key, begins, ends })
    }

    /// The moment from which nobody accepts it.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    /// The moment to order another: two thirds of its time are over then.
    pub(super) fn renew_at(&self) -> Timestamp {
        renew_at(self.begins, self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_its_time_before_its_end_it_is_renewed() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["panel.example.org".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 31);
        let certificate = params.self_signed(&key).unwrap().pem();
        let ordered = Ordered::parse(format!("{}{certificate}", key.serialize_pem()).as_bytes()).unwrap();
        assert_eq!(ordered.renew_at().to_string(), "2026-01-21T00:00:00Z");
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(matches!(
            Ordered::parse(format!("{other}{certificate}").as_bytes()),
            Err(OrderedError::Pair(_))
        ));
        assert!(matches!(Ordered::parse(certificate.as_bytes()), Err(OrderedError::Pem(_))));
    }
}
