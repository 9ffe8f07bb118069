//! The way to the CA: HTTPS by roots that are checked, with a deadline and a bound for each answer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use berth_ca::{RootsError, checked_by};
use berth_schema::certificate::Certificates;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;

use crate::trouble::Silent;

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
    pub(crate) fn find(ca: Option<&Certificates>, within: Duration) -> Result<Self, RootsError> {
        let tls = checked_by(ca.map(Certificates::as_str))?;
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
