//! The listener: one endpoint, a limit on everything that a stranger could use up, and a bell.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use berth_schema::remote::{Branch, Forge};
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::limit::Limit;
use super::push::Meaning;
use super::signature::Secret;

/// Path to which a forge sends its requests.
pub const PATH: &str = "/hooks/remote";

/// The largest body. A forge describes each commit of a push; what is larger than this is found by the next look.
const LARGEST_BODY: usize = 1 << 20;
/// Connections at a time: together with the body's limit, what a stranger can make us hold in memory.
const CONNECTIONS: usize = 32;
/// Time that a client has for its headers, and for everything.
const HEADERS: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(15);
/// Requests at once, and how long it takes until there may be one more.
const BURST: u32 = 30;
const EVERY: Duration = Duration::from_secs(1);
/// Wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// A forge's webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    forge: Forge,
    reference: String,
    secret: Secret,
    bell: Arc<Notify>,
    limit: Limit,
}

impl Webhook {
    /// A webhook of this forge, which rings `bell` when `branch` was pushed.
    pub(crate) fn new(forge: Forge, branch: &Branch, secret: Secret, bell: Arc<Notify>) -> Self {
        let limit = Limit::new(BURST, EVERY, Instant::now());
        Self { forge, reference: branch.reference(), secret, bell, limit }
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
        if !self.limit.take(Instant::now()) {
            tracing::warn!("too many requests to the webhook; the poll goes on");
            return (StatusCode::TOO_MANY_REQUESTS, "too many requests; the forge is looked at anyway\n");
        }
        let (Parts { headers, .. }, body) = request.into_parts();
        let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "too large; the forge is looked at anyway\n");
        // What says that it is too large isn't waited for.
        if body.size_hint().lower() > LARGEST_BODY as u64 {
            return too_large;
        }
        let Ok(body) = to_bytes(body, LARGEST_BODY).await else { return too_large };
        if let Err(why) = self.secret.check(self.forge, &headers, &body) {
            // Neither the body nor what the header says instead: either may hold a secret.
            tracing::warn!(%why, bytes = body.len(), "a request to the webhook was refused");
            return (StatusCode::UNAUTHORIZED, "this is not signed with the webhook's secret\n");
        }
        let words = match Meaning::of(self.forge, &headers, &body, &self.reference) {
            Meaning::Pushed => {
                // However often it rings until somebody looks, it is looked once: a request that is sent again does no harm.
                self.bell.notify_one();
                "fetching\n"
            }
            Meaning::AnotherEvent => "well signed, and no push: nothing to do\n",
            Meaning::AnotherRef => "a push to another branch: nothing to do\n",
            Meaning::Unreadable => {
                tracing::warn!(
                    "a webhook's body isn't JSON: choose application/json in the forge's settings"
                );
                "this isn't JSON: choose application/json in the forge's settings\n"
            }
        };
        (StatusCode::ACCEPTED, words)
    }
}
