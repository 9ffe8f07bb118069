//! The way to the CA: HTTPS by roots that are checked, with a deadline and a bound for each answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::certificate::Certificates;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};
use tokio::time::timeout;

use crate::trouble::{OrderError, Silent};

/// The longest answer that is read, in bytes: a chain of certificates is a few thousand.
const ANSWER: usize = 1 << 20;

/// Client of one CA.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    within: Duration,
}

impl Http {
    /// Finds the roots that the CA is checked against, as they are now: `ca`, or those of the system.
    pub(crate) fn find(ca: Option<&Certificates>, within: Duration) -> Result<Self, OrderError> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(pem) => {
                for root in CertificateDer::pem_slice_iter(pem.as_str().as_bytes()) {
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
        let tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(DEFAULT_VERSIONS)
            .map_err(|error| OrderError::Roots(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), within })
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (answer, within) = (self.client.request(request), self.within);
        Box::pin(async move {
            let exchange = async {
                let (parts, body) = answer.await.map_err(|error| Error::Other(error.into()))?.into_parts();
                let body = Limited::new(body, ANSWER).collect().await.map_err(Error::Other)?;
                Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
            };
            timeout(within, exchange).await.unwrap_or_else(|_| Err(Error::Other(Box::new(Silent(within)))))
        })
    }
}
