//! The way out to the forge's API: straight, or through the host's proxy, which is found in the environment as git finds it.

use std::io;

use berth_fault::chain;
use http::Uri;
use http::uri::Scheme;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt as _};

/// A connection that isn't encrypted yet, unless the proxy itself speaks TLS.
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connector to a URL's host.
#[derive(Clone)]
pub(crate) struct WayOut {
    proxies: std::sync::Arc<Matcher>,
}

/// A client for one request. Made anew each time: the system's CAs may have changed.
pub(crate) fn client() -> io::Result<Client<HttpsConnector<WayOut>, Full<Bytes>>> {
    let way_out = WayOut { proxies: Matcher::from_env().into() };
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        // Plain HTTP only where `remote.api` says so, and the schema allows that on this machine alone.
        .https_or_http()
        .enable_http1()
        .wrap_connector(way_out);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

impl Service<Uri> for WayOut {
    type Response = Stream;
    type Error = io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        // What isn't encrypted stays on this machine.
        let is_outside = to.scheme() == Some(&Scheme::HTTPS);
        let proxy = is_outside.then(|| self.proxies.intercept(&to)).flatten();
        Box::pin(async move {
            match proxy {
                Some(proxy) => through(&proxy, to).await,
                None => {
                    let stream = plain().oneshot(to).await.map_err(io::Error::other)?;
                    Ok(MaybeHttpsStream::Http(stream))
                }
            }
        })
    }
}

fn plain() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector
}

/// Connects through a proxy.
async fn through(proxy: &Intercept, to: Uri) -> io::Result<Stream> {
    let at = proxy.uri().clone();
    let name = at.authority().map_or("", |authority| authority.host()).to_owned();
    let failed = |error: &(dyn std::error::Error + 'static)| {
        io::Error::other(format!("through the proxy {name}: {}", chain(error)))
    };
    if at.scheme_str().is_some_and(|scheme| scheme.starts_with("socks5")) {
        let mut socks = SocksV5::new(at, plain());
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        let stream = socks.oneshot(to).await.map_err(|error| failed(&error))?;
        return Ok(MaybeHttpsStream::Http(stream));
    }
    let hop = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .build();
    let mut tunnel = Tunnel::new(at, hop);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    tunnel.oneshot(to).await.map_err(|error| failed(&error))
}
