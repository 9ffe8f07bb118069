//! Connections of the edge, the web server before all domains, and what it says of its visitors.
//!
//! Only the edge's container has the socket, so only its words are believed. It opens a connection for each request.

use std::net::IpAddr;
use std::os::unix::net::UnixListener as Handed;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Header with the visitor's address.
const CLIENT: HeaderName = HeaderName::from_static("berth-client");
/// Header with the scheme that the visitor used.
const SCHEME: HeaderName = HeaderName::from_static("berth-scheme");
/// Header of an answer to somebody who may not open the panel. The edge closes their connection in its place.
pub(super) const STRANGER: HeaderName = HeaderName::from_static("berth-stranger");
/// Time to wait where the kernel is short of something.
const SHORT: Duration = Duration::from_millis(100);

/// The edge's socket, once it is there.
#[derive(Debug)]
pub(super) struct Edge {
    listener: Option<UnixListener>,
    next: mpsc::Receiver<Handed>,
}

impl Edge {
    pub(super) fn new(next: mpsc::Receiver<Handed>) -> Self {
        Self { listener: None, next }
    }

    /// The next connection of the edge.
    pub(super) async fn accept(&mut self) -> UnixStream {
        loop {
            let handed = match &self.listener {
                Some(listener) => tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => return stream,
                        Err(error) => {
                            tracing::warn!(%error, "a connection of the edge can't be taken");
                            sleep(SHORT).await;
                            continue;
                        }
                    },
                    Some(handed) = self.next.recv() => handed,
                },
                None => match self.next.recv().await {
                    Some(handed) => handed,
                    None => return std::future::pending().await,
                },
            };
            let usable = handed.set_nonblocking(true).and_then(|()| UnixListener::from_std(handed));
            match usable {
                Ok(listener) => {
                    tracing::info!("the panel listens to the edge");
                    self.listener = Some(listener);
                }
                Err(error) => tracing::error!(%error, "the edge's socket can't be used"),
            }
        }
    }
}

/// A visitor as the edge tells of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Introduced {
    pub(super) from: IpAddr,
    pub(super) scheme: Scheme,
}

/// Scheme that a visitor used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Takes the edge's words out of a request. `None` where they aren't clear.
pub(super) fn introduced<B>(request: &mut Request<B>) -> Option<Introduced> {
    let headers = request.headers_mut();
    let (from, scheme) = (only(headers, &CLIENT), only(headers, &SCHEME));
    headers.remove(CLIENT);
    headers.remove(SCHEME);
    let scheme = match scheme?.as_bytes() {
        b"http" => Scheme::Http,
        b"https" => Scheme::Https,
        _ => return None,
    };
    let from: IpAddr = from?.to_str().ok()?.parse().ok()?;
    Some(Introduced { from: from.to_canonical(), scheme })
}

/// A header that is there once.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Option<Introduced> {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        let introduced = introduced(&mut request);
        assert!(!request.headers().contains_key(CLIENT) && !request.headers().contains_key(SCHEME));
        introduced
    }

    #[test]
    fn a_visitor_is_told_of_clearly_or_not_at_all() {
        let told = of(&[("berth-client", "::ffff:192.0.2.7"), ("berth-scheme", "https")]).unwrap();
        assert_eq!((told.from.to_string().as_str(), told.scheme), ("192.0.2.7", Scheme::Https));
        for unclear in [
            &[("berth-client", "192.0.2.7")][..],
            &[("berth-scheme", "https")],
            &[("berth-client", "192.0.2.7"), ("berth-client", "192.0.2.8"), ("berth-scheme", "http")],
            &[("berth-client", "192.0.2.7"), ("berth-scheme", "ftp")],
            &[("berth-client", "192.0.2.7:80"), ("berth-scheme", "http")],
        ] {
            assert_eq!(of(unclear), None, "{unclear:?}");
        }
    }
}
