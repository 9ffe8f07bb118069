//! The process that scrapers ask: listens where `platform.toml` says, and asks the reconciler for the text.
//!
//! It reads one socket, on which nothing can be changed, and knows nothing else of the platform. Where the reconciler doesn't answer, it
//! says that, so that an alarm can tell a platform without a reconciler from one without metrics.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_fault::{Fault, Kind, chain};
use berth_tasks::{TaskError, Tasks};
use berth_wire::client::{ClientError, Daemon};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::snapshot::Snapshot;
use crate::text::{Format, text};

/// Time between two looks where to listen.
const LOOK: Duration = Duration::from_secs(5);
/// Connections at once. A scraper keeps one.
const CONNECTIONS: usize = 16;
/// Time for the head of a request, and so for a connection that isn't used.
const HEAD: Duration = Duration::from_secs(90);
/// Time for the reconciler's answer. Scrapers wait ten seconds, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(9);

/// Settings of the process.
#[derive(Debug, Clone)]
pub struct ScrapeSettings {
    /// The reconciler's socket for metrics.
    pub socket: PathBuf,
    /// Time between two looks where to listen.
    pub look: Duration,
}

impl ScrapeSettings {
    /// Settings for the reconciler behind this socket.
    pub fn of(socket: PathBuf) -> Self {
        Self { socket, look: LOOK }
    }
}

/// A process that can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// A task that it needs has ended.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl Fault for ScrapeError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

/// Serves scrapers until `tasks` are asked to end. Where nothing says where to listen, it waits for that.
pub async fn run(settings: ScrapeSettings, tasks: &Tasks) -> Result<(), ScrapeError> {
    let socket: Arc<Path> = settings.socket.into();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let (mut wanted, mut listening, mut told) = (None, None, None);
    while !tasks.stop().is_cancelled() {
        // Nobody stops listening because the reconciler is away.
        if let Some(now) = ask(&socket, &mut told).await {
            wanted = now;
        }
        listening = renew(listening, wanted).await;
        let due = tokio::time::sleep(settings.look);
        let serve = serve(listening.as_ref(), &socket, &room, tasks);
        tokio::select! {
            () = due => {}
            () = tasks.stop().cancelled() => {}
            never = serve => match never {},
        }
    }
    drop(listening);
    Ok(tasks.end().await?)
}

/// A listener, and what became of it.
enum Listening {
    Open {
        at: SocketAddr,
        listener: TcpListener,
        closed: CancellationToken,
    },
    /// It can't be had, for this reason.
    Failed {
        at: SocketAddr,
        why: String,
    },
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Self::Open { at, closed, .. } = self {
            tracing::info!(address = %at, "scrapers are answered no more");
            closed.cancel();
        }
    }
}

/// Asks where to listen. `None` where nobody answers, which is told once.
async fn ask(socket: &Path, told: &mut Option<String>) -> Option<Option<SocketAddr>> {
    let asked = async { find(socket).await?.scrape_address().await };
    let why = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Some(address))) => {
            *told = None;
            return Some(address.listen);
        }
        Ok(Ok(None)) => "its first pass is still running".to_owned(),
        Ok(Err(error)) => chain(&error),
        Err(_) => "it doesn't answer".to_owned(),
    };
    if told.as_ref() != Some(&why) {
        tracing::warn!(why, "the reconciler can't be asked where scrapers are to be answered");
        *told = Some(why);
    }
    None
}

async fn find(socket: &Path) -> Result<Daemon, ClientError> {
    Daemon::find(socket).await?.ok_or(ClientError::Ended)
}

/// Has a listener at the address that is wanted by now. One that can't be had is tried again each time.
async fn renew(before: Option<Listening>, wanted: Option<SocketAddr>) -> Option<Listening> {
    let at = wanted?;
    let failed = match &before {
        Some(Listening::Open { at: now, .. }) if *now == at => return before,
        Some(Listening::Failed { at: now, why }) if *now == at => Some(why.clone()),
        _ => None,
    };
    // The old one goes first: it may have the port at another address.
    drop(before);
    match TcpListener::bind(at).await {
        Ok(listener) => {
            tracing::info!(address = %at, "scrapers are answered");
            Some(Listening::Open { at, listener, closed: CancellationToken::new() })
        }
        Err(error) => {
            let why = error.to_string();
            if failed.as_ref() != Some(&why) {
                tracing::error!(address = %at, %error, hint = hint(&error), "cannot listen for scrapers");
            }
            Some(Listening::Failed { at, why })
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "something else has the port: write another into `metrics.listen`",
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: write one of its own into `metrics.listen`"
        }
        _ => "write another address into `metrics.listen`",
    }
}

/// Takes connections, forever.
async fn serve(
    listening: Option<&Listening>,
    socket: &Arc<Path>,
    room: &Arc<Semaphore>,
    tasks: &Tasks,
) -> Infallible {
    let Some(Listening::Open { listener, closed, .. }) = listening else {
        return tasks.pulse().wait(std::future::pending()).await;
    };
    loop {
        match tasks.pulse().wait(listener.accept()).await {
            Ok((stream, _)) => {
                // Whoever finds no room is cut off: a scraper comes again.
                let Ok(place) = Arc::clone(room).try_acquire_owned() else { continue };
                tasks.serve("a scraper", converse(stream, Arc::clone(socket), place, closed.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a scraper's connection can't be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    socket: Arc<Path>,
    _place: OwnedSemaphorePermit,
    closed: CancellationToken,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(16 << 10);
    let service = service_fn(move |request| {
        let socket = Arc::clone(&socket);
        async move { Ok::<_, Infallible>(answer(&request, &socket).await) }
    });
    let served = server.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = served => {
            if let Err(error) = served {
                tracing::debug!(%error, "a scraper's connection broke");
            }
        }
        // Scrapers come again, to where they are answered by then.
        () = closed.cancelled() => {}
    }
}

async fn answer(request: &Request<Incoming>, socket: &Path) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
            let format = Format::accepted(accept);
            respond(StatusCode::OK, format.media_type(), metrics(socket, format).await)
        }
        (&Method::GET | &Method::HEAD, _) => {
            let text = "the metrics are at /metrics\n".to_owned();
            respond(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text)
        }
        _ => {
            let text = "metrics can only be read\n".to_owned();
            respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", text)
        }
    }
}

fn respond(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The text, which says no more than that the reconciler is away where it is.
async fn metrics(socket: &Path, format: Format) -> String {
    let asked = async { find(socket).await?.metrics(format == Format::OpenMetrics).await };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(text)) => return text,
        Ok(Err(error)) => tracing::warn!(error = chain(&error), "the reconciler can't be asked for metrics"),
        Err(_) => tracing::warn!("the reconciler doesn't answer the question for metrics"),
    }
    text(&Arc::new(Snapshot { at: Timestamp::now(), ..Snapshot::default() }), format)
}

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod tests;
