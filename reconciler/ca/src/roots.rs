//! Roots by which a CA's server is checked.

use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};

/// There are no roots to check a CA's server by.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RootsError {
    #[error(
        "the CA can't be checked, since this machine has no root certificates: install `ca-certificates`, or put the CA's into `acme.ca`"
    )]
    Missing,
    #[error("the certificates in `acme.ca` can't be used")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
}

/// Settings of a TLS client that takes a server only with a certificate by these roots, in PEM; without any, by those that the
/// system has now.
pub fn checked_by(pem: Option<&str>) -> Result<ClientConfig, RootsError> {
    let mut roots = RootCertStore::empty();
    match pem {
        Some(pem) => {
            for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let root = root.map_err(|error| RootsError::Unusable(error.into()))?;
                roots.add(root).map_err(|error| RootsError::Unusable(error.into()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(RootsError::Missing);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_protocol_versions(DEFAULT_VERSIONS);
    let versions = versions.map_err(|error| RootsError::Unusable(error.into()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_can_t_be_used_are_told_from_none() {
        let key = rcgen::KeyPair::generate().unwrap();
        let root = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
        assert!(checked_by(Some(&root)).is_ok());
        assert!(matches!(checked_by(Some("")), Err(RootsError::Missing)));
        let spoilt = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(checked_by(Some(spoilt)), Err(RootsError::Unusable(_))));
    }
}
