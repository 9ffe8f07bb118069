//! The handshake that proves the panel's name to a CA (TLS-ALPN-01, RFC 8737), while one is to look for it.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DEFAULT_VERSIONS, ServerConfig};
use rustls_acme::acme::ACME_TLS_ALPN_NAME;

/// The handshake that a CA is to see now, if there is one. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Validations(Arc<RwLock<Option<Validation>>>);

/// A handshake that proves a name.
#[derive(Debug, Clone)]
pub struct Validation {
    domain: String,
    config: Arc<ServerConfig>,
}

impl Validations {
    /// Shows a handshake to whoever asks for it, in place of an older one.
    pub(super) fn open(&self, validation: Validation) {
        *self.0.write() = Some(validation);
    }

    /// Shows none any more.
    pub(super) fn close(&self) {
        *self.0.write() = None;
    }

    /// The handshake that a CA is to see now.
    pub fn now(&self) -> Option<Validation> {
        self.0.read().clone()
    }
}

impl Validation {
    /// A handshake for a name with the certificate that proves it.
    pub(super) fn new(domain: &str, key: CertifiedKey) -> Result<Self, rustls::Error> {
        let provider: Arc<CryptoProvider> = rustls::crypto::ring::default_provider().into();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(DEFAULT_VERSIONS)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(One(Arc::new(key))));
        config.alpn_protocols = vec![ACME_TLS_ALPN_NAME.to_vec()];
        Ok(Self { domain: domain.to_owned(), config: Arc::new(config) })
    }

    /// Returns whether a client asks for it, and for nothing else.
    pub fn is_asked_for(&self, hello: &ClientHello<'_>) -> bool {
        hello.alpn().into_iter().flatten().eq([ACME_TLS_ALPN_NAME])
            && hello.server_name().is_some_and(|name| name.eq_ignore_ascii_case(&self.domain))
    }

    /// Settings of TLS for the handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// One certificate for whoever has been let through to it.
#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
