//! One CA: a connection that knows its roots, and a deadline for each request.

use std::future::Future;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};
use rustls_acme::acme::AcmeError;
use tokio::time::timeout;

use super::settings::{Acme, Pace};
use super::trouble::{OrderError, is_bad_nonce};

/// Times that a request is repeated because its nonce had grown old meanwhile.
const REPEATS: usize = 3;

/// One CA.
#[derive(Debug)]
pub(super) struct Ca {
    pub(super) directory: String,
    /// URL of whom the CA may write to.
    pub(super) contact: Option<String>,
    pub(super) client: Arc<ClientConfig>,
    pub(super) pace: Pace,
}

impl Ca {
    /// Finds the roots that the CA is checked against, as they are now.
    pub(super) fn find(acme: &Acme) -> Result<Self, OrderError> {
        let mut roots = RootCertStore::empty();
        match &acme.roots {
            Some(pem) => {
                for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let root = root.map_err(|error| OrderError::Roots(error.into()))?;
                    roots.add(root).map_err(|error| OrderError::Roots(error.into()))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(OrderError::NoRoots);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(DEFAULT_VERSIONS)
            .map_err(|error| OrderError::Request(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            directory: acme.directory.clone(),
            contact: acme.email.as_ref().map(|email| format!("mailto:{email}")),
            client: Arc::new(client),
            pace: acme.pace,
        })
    }

    /// Asks, within the deadline.
    pub(super) async fn ask<T, F>(&self, mut question: impl FnMut() -> F) -> Result<T, OrderError>
    where
        F: Future<Output = Result<T, AcmeError>>,
    {
        let mut repeats = 0;
        loop {
            let within = self.pace.request;
            let Ok(answer) = timeout(within, question()).await else {
                return Err(OrderError::Silent { directory: self.directory.clone(), within });
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if repeats < REPEATS && is_bad_nonce(&error) => repeats += 1,
                Err(error) => return Err(OrderError::of(error, &self.directory)),
            }
        }
    }
}
