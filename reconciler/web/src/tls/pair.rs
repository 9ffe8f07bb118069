//! A chain and its key, and how long they are good for.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

/// The pair, if its key is its certificate's.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let provider: CryptoProvider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new)
}

/// First and last moment of its certificate, if they can be read.
pub(super) fn lifetime(key: &CertifiedKey) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate) = parse_x509_certificate(key.cert.first()?).ok()?;
    let validity = certificate.validity();
    let at = |moment: x509_parser::time::ASN1Time| Timestamp::from_second(moment.timestamp()).ok();
    Some((at(validity.not_before)?, at(validity.not_after)?))
}
