//! The listener: one endpoint, a limit on everything that a stranger could use up, and a bell.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use berth_schema::remote::{Branch, Forge};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::body::{self, Json, Unread};
use super::key::Key;
use super::limit::Limit;
use super::push::Meaning;
use super::signature::{Check, Unproved};
use crate::bell::Bell;

/// Path to which a forge sends its requests.
pub const PATH: &str = "/hooks/remote";

/// Connections at a time.
const CONNECTIONS: usize = 32;
/// Time that a client has for its headers, and for everything.
const HEADERS: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(15);
/// Requests of strangers that are answered and logged at once, and how long it takes until there may be one more.
const BURST: u32 = 30;
const EVERY: Duration = Duration::from_secs(1);
/// Wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// A forge's webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    forge: Forge,
    reference: String,
    key: Key,
    bell: Arc<Bell>,
    limit: Limit,
}

impl Webhook {
    /// A webhook of this forge, which rings `bell` when `branch` was pushed.
    pub(crate) fn new(forge: Forge, branch: &Branch, key: Key, bell: Arc<Bell>) -> Self {
        let limit = Limit::new(BURST, EVERY, Instant::now());
        Self { forge, reference: branch.reference(), key, bell, limit }
    }

    /// Answers on `listener`, forever; the connections end with this future.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let router = Router::new().route(PATH, post(receive)).with_state(Arc::new(self));
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &room) => accepted,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection to the webhook broke");
                    }
                    continue;
                }
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let router = router.clone();
                    connections.spawn(async move {
                        converse(stream, peer, router).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the webhook can't take a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

/// The next connection, once there is room for it: those that wait, wait in the kernel.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn converse(stream: TcpStream, peer: SocketAddr, router: Router) {
    let mut server = http1::Builder::new();
    // One request a connection: a forge sends no more, and a place is free again sooner.
    server.timer(TokioTimer::new()).header_read_timeout(HEADERS).keep_alive(false);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(WHOLE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection to the webhook broke"),
        Err(_) => tracing::debug!(%peer, "a connection to the webhook took too long"),
    }
}

async fn receive(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    webhook.answer(request).await.into_response()
}

impl Webhook {
    async fn answer(&self, request: Request) -> (StatusCode, &'static str) {
        let (Parts { headers, .. }, body) = request.into_parts();
        let check = match self.key.now().begin(self.forge, &headers) {
            Ok(check) => check,
            Err(why) => return self.refuse(why),
        };
        let is_proved = matches!(check, Check::Proved);
        let json = match body::read(body, is_form(&headers), check).await {
            Ok(json) => json,
            Err(Unread::Unproved(why)) => return self.refuse(why),
            // The forge's own word all the same, and it may be a push of the branch.
            Err(Unread::TooLarge | Unread::Broken) if is_proved => Json::Long,
            Err(Unread::TooLarge) => {
                tracing::warn!("a request to the webhook was too large");
                return (StatusCode::PAYLOAD_TOO_LARGE, "too large: 25 MiB are read\n");
            }
            Err(Unread::Broken) => return (StatusCode::BAD_REQUEST, "the body broke off\n"),
        };
        let words = match Meaning::of(self.forge, &headers, &json, &self.reference) {
            Meaning::AnotherEvent => {
                return (StatusCode::ACCEPTED, "well signed, and no push: nothing to do\n");
            }
            Meaning::AnotherRef => {
                return (StatusCode::ACCEPTED, "a push to another branch: nothing to do\n");
            }
            Meaning::Pushed => "fetching\n",
            Meaning::Long => "fetching: this is too long to be read\n",
            Meaning::Unreadable => {
                tracing::warn!("the body of a webhook's request isn't JSON");
                "fetching: this could not be read; choose application/json in the forge's settings\n"
            }
        };
        // However often it rings until somebody looks, it is looked once: a request that is sent again does no harm.
        self.bell.ring();
        (StatusCode::ACCEPTED, words)
    }

    /// Turns a stranger away. They are many or few; the forge's own requests are never held up by them.
    fn refuse(&self, why: Unproved) -> (StatusCode, &'static str) {
        if !self.limit.take(Instant::now()) {
            return (StatusCode::TOO_MANY_REQUESTS, "too many requests that aren't signed\n");
        }
        // Neither the body nor what the header says instead: either may hold a secret.
        tracing::warn!(%why, "a request to the webhook was refused");
        (StatusCode::UNAUTHORIZED, "this is not signed with the webhook's secret\n")
    }
}

/// Returns whether a request has a form in its body.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}
