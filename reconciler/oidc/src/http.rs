//! Requests to the provider: over TLS by roots that are checked, each within a time, and with a bound for the answer. A redirect
//! isn't followed: what the provider publishes is at the addresses that it names.

use std::time::Duration;

use berth_ca::checked_by;
use berth_fault::chain;
use berth_schema::certificate::Certificates;
use berth_schema::oidc::Oidc;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::trouble::ProviderError;

/// The longest answer that is read, in bytes: a provider's keys are a few thousand.
const ANSWER: usize = 256 << 10;

/// Client of one provider.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Set for a provider on this machine, over plain HTTP.
    is_plain: bool,
    within: Duration,
}

impl Http {
    /// Finds the roots that the provider is checked against, as they are now: its own, or those of the system.
    pub(crate) fn find(oidc: &Oidc, within: Duration) -> Result<Self, ProviderError> {
        let is_plain = oidc.issuer.as_str().starts_with("http://");
        let tls =
            checked_by(oidc.ca.as_ref().map(Certificates::as_str)).map_err(|_| ProviderError::NoRoots)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = match is_plain {
            true => builder.https_or_http().enable_http1().build(),
            false => builder.https_only().enable_http1().build(),
        };
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), is_plain, within })
    }

    /// Checks that an address that the provider names is safe to ask, and to lead people to.
    pub(crate) fn check(&self, url: &str) -> Result<(), ProviderError> {
        let scheme = url.parse::<Uri>().ok().and_then(|uri| uri.scheme_str().map(str::to_owned));
        match scheme.as_deref() {
            Some("https") => Ok(()),
            Some("http") if self.is_plain => Ok(()),
            _ => Err(ProviderError::Plain { url: url.to_owned() }),
        }
    }

    /// Reads what is at an address.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, ProviderError> {
        self.check(url)?;
        let request = Request::get(url).header("accept", "application/json").body(Bytes::new());
        let request = request.map_err(|_| ProviderError::Plain { url: url.to_owned() })?;
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(ProviderError::Status { url: url.to_owned(), status }),
        }
    }

    /// Sends a request, and hears the answer out.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ProviderError> {
        let url = request.uri().to_string();
        let answer = self.client.request(request.map(Full::new));
        let exchange = async {
            let answer = answer
                .await
                .map_err(|error| ProviderError::Unreachable { url: url.clone(), why: chain(&error) })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER).collect().await;
            let body = body.map_err(|_| ProviderError::Long { url: url.clone(), most: ANSWER })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        let silent = || ProviderError::Silent { url: url.clone(), within: self.within };
        timeout(self.within, exchange).await.unwrap_or_else(|_| Err(silent()))
    }
}
