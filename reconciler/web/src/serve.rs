//! The listener: connections, their limits, and TLS.
//!
//! Somebody who may not open the panel is cut off before TLS answers, unless a CA is to look at the panel and they ask for
//! nothing but the proof (RFC 8737): CAs come from anywhere. Whoever is slow has a deadline at each step: the
//! handshake, a request's head, its body (in the guards), the wait for the next request. Visitors whom the edge passes on come over
//! its own socket, in plain text.

mod admission;
mod edge;
mod hello;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use berth_count::{Counted, Timed};
use futures_util::FutureExt as _;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::acme::{Validation, Validations};
use crate::app::App;
use crate::challenge::Challenges;
use crate::countries::Countries;
use crate::routes;
use crate::settings::Settings;
use crate::tls::TlsError;
use crate::visitor::Peer;
use crate::way::Way;
use admission::{Admission, Admitted};
use berth_tasks::Tasks;
use edge::{Edge, Introduced, Scheme, introduced};

/// Time for TLS to be agreed on.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the head of a request to arrive.
const HEAD: Duration = Duration::from_secs(15);
/// Time that a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(75);
/// The longest head of a request, in bytes. Below it, hyper refuses to work.
const LONGEST_HEAD: usize = 32 << 10;
/// The most headers of a request.
const HEADERS: usize = 100;
/// The most requests at once on one connection.
const STREAMS: u32 = 64;
/// Time for answers to be sent out when the process is to end.
const LAST: Duration = Duration::from_secs(10);
/// Time between two looks, then, whether a connection has a request in hand. After two without one, it ends: a browser may keep one
/// open that it doesn't use.
const GLANCE: Duration = Duration::from_millis(1500);
/// Time between two looks at the certificate and the country file, and between two sweeps of the sessions.
const LOOK: Duration = Duration::from_secs(10);
const SWEEP: Duration = Duration::from_secs(600);
/// Time to wait where the kernel is short of something.
const SHORT: Duration = Duration::from_millis(100);

/// Serves the panel until its tasks are asked to end, and the answers that are in hand then.
pub async fn serve(
    listener: TcpListener,
    edge: mpsc::Receiver<UnixListener>,
    app: App,
    tasks: &Tasks,
) -> Result<(), TlsError> {
    let tls = app.certificates.server()?;
    let admission = Admission::default();
    let (certificates, countries) = (app.certificates.clone(), app.countries.clone());
    let (sessions, answers) = (app.sessions.clone(), app.answers.clone());
    tasks.keep("the look at the certificate and the country file", async move {
        let mut looks = every(LOOK);
        loop {
            looks.tick().await;
            tokio::task::block_in_place(|| {
                certificates.look();
                countries.look();
            });
        }
    });
    tasks.keep("the sweep of sessions", async move {
        let mut sweeps = every(SWEEP);
        loop {
            sweeps.tick().await;
            let now = Timestamp::now();
            let swept = tokio::task::block_in_place(|| sessions.sweep(now).and_then(|()| answers.sweep(now)));
            if let Err(error) = swept {
                tracing::warn!(error = berth_fault::chain(&error), "old sessions and answers can't be swept");
            }
        }
    });
    let connections = Connections {
        tls,
        settings: Arc::clone(&app.settings),
        countries: app.countries.clone(),
        closing: app.closing.clone(),
        challenges: app.challenges.clone(),
        of_edge: Admission::default(),
        validations: app.validations.clone(),
        pages: TowerToHyperService::new(routes::router(app)),
    };
    let mut edge = Edge::new(edge);
    loop {
        let accepted = tokio::select! {
            accepted = tasks.pulse().wait(listener.accept()) => accepted,
            stream = edge.accept() => {
                tasks.serve("a connection of the edge", connections.clone().serve_edge(stream));
                continue;
            }
            () = connections.closing.cancelled() => return Ok(()),
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection can't be taken");
                sleep(SHORT).await;
                continue;
            }
        };
        // Without an answer: whoever may not open the panel needn't learn that there is one.
        let Ok(to) = stream.local_addr() else { continue };
        let answer = connections.settings.admits(from.ip(), to.ip());
        let is_admitted = connections.countries.let_in(from.ip(), answer);
        let validation = connections.validations.now();
        if !is_admitted && validation.is_none() {
            continue;
        }
        let Some(admitted) = admission.admit(from.ip()) else { continue };
        let connections = connections.clone();
        tasks.serve("a connection", async move {
            let _admitted: Admitted = admitted;
            let stream = match validation {
                Some(validation) => timeout(HANDSHAKE, prove(validation, stream)).await.unwrap_or_default(),
                None => Some(stream),
            };
            if let Some(stream) = stream.filter(|_| is_admitted) {
                connections.serve_own(stream, from).await;
            }
        });
    }
}

/// Shows the proof to a CA that asks for it. Anybody else gets no answer here, and is returned.
async fn prove(validation: Validation, stream: TcpStream) -> Option<TcpStream> {
    if !hello::asks_for(&validation, &stream).await {
        return Some(stream);
    }
    if let Ok(mut shown) = TlsAcceptor::from(validation.config()).accept(stream).await {
        let _ = shown.shutdown().await;
    }
    None
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[derive(Clone)]
struct Connections {
    tls: Arc<ServerConfig>,
    settings: Arc<Settings>,
    countries: Countries,
    closing: CancellationToken,
    challenges: Challenges,
    /// Places of the edge's visitors, each for one request.
    of_edge: Admission,
    validations: Validations,
    pages: TowerToHyperService<Router>,
}

impl Connections {
    async fn serve_own(self, stream: TcpStream, from: SocketAddr) {
        // An answer is sent at once, however small it is.
        let _ = stream.set_nodelay(true);
        let served = async |load: &Arc<Load>| {
            // Scanners break off here all day.
            let agreed = timeout(HANDSHAKE, TlsAcceptor::from(Arc::clone(&self.tls)).accept(stream)).await;
            if let Ok(Ok(stream)) = agreed {
                // The version is agreed on, so nobody can keep us waiting for a sign of it.
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.answer(stream, is_h2, From::Own(from.ip().to_canonical()), load).await;
            }
        };
        self.until_closing(served).await;
    }

    async fn serve_edge(self, stream: UnixStream) {
        self.until_closing(async |load: &Arc<Load>| self.answer(stream, false, From::Edge, load).await).await;
    }

    async fn until_closing(&self, serve: impl AsyncFnOnce(&Arc<Load>)) {
        let load = Arc::new(Load::default());
        tokio::select! {
            () = serve(&load) => {}
            // Whoever has got this far is answered, but not waited for without an end.
            () = self.closing.cancelled().then(|()| load.patience()) => {}
        }
    }

    async fn answer<S>(&self, stream: S, is_h2: bool, from: From, load: &Arc<Load>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let builder = Builder::new(TokioExecutor::new());
        let mut builder = if is_h2 { builder.http2_only() } else { builder.http1_only() };
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LONGEST_HEAD)
            .max_headers(HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(LONGEST_HEAD as u32)
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(IDLE)
            .keep_alive_timeout(HEAD);
        let (this, of_requests) = (self.clone(), Arc::clone(load));
        let service = service_fn(move |request: Request<Incoming>| {
            let held = Held::of(&of_requests);
            let answer = this.clone().page(request, from);
            async move {
                let (answer, admitted) = answer.await?;
                // It counts until its last byte is on the way.
                Ok::<_, Infallible>(answer.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        let _ = (&held, &admitted);
                        frame
                    }))
                }))
            }
        });
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut looks = every(IDLE);
        looks.tick().await;
        let mut seen = load.begun.load(Ordering::Relaxed);
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                _ = looks.tick() => {
                    let begun = load.begun.load(Ordering::Relaxed);
                    if begun == seen && load.in_hand.load(Ordering::Relaxed) == 0 {
                        connection.as_mut().graceful_shutdown();
                    }
                    seen = begun;
                }
                () = self.closing.cancelled() => {
                    if load.begun.load(Ordering::Relaxed) == 0 {
                        // Whoever has come in before the end is still answered once.
                        tokio::select! {
                            ended = connection.as_mut() => break ended,
                            () = load.first.notified() => {}
                        }
                    }
                    connection.as_mut().graceful_shutdown();
                    break connection.as_mut().await;
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }

    /// The answer to a request, and the place that it takes at the edge.
    async fn page(
        self,
        mut request: Request<Incoming>,
        from: From,
    ) -> Result<(Response<Body>, Option<Admitted>), Infallible> {
        let (peer, way, admitted) = match from {
            From::Own(peer) => (peer, Way::Own, None),
            From::Edge => match self.introduce(&mut request) {
                Ok((peer, admitted)) => (peer, Way::Edge, Some(admitted)),
                Err(answer) => return Ok((*answer, None)),
            },
        };
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(way);
        let begun = Instant::now();
        let answer = self.pages.call(request).await?;
        berth_count::took(Timed::Request, begun.elapsed());
        berth_count::count(Counted::web(answer.status().as_u16()), 1);
        Ok((answer, admitted))
    }

    /// Learns who a visitor of the edge's is, and gives them a place. Otherwise this is the answer.
    fn introduce(&self, request: &mut Request<Incoming>) -> Result<(IpAddr, Admitted), Box<Response<Body>>> {
        let refused = |status: StatusCode| {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = status;
            Box::new(answer)
        };
        match introduced(request) {
            None => Err(refused(StatusCode::BAD_REQUEST)),
            // In plain text the panel has nothing to say to anybody else.
            Some(Introduced { scheme: Scheme::Http, .. }) => {
                Err(Box::new(self.challenges.answer(request.uri().path())))
            }
            // The edge has looked at networks already; its settings may be older than ours. Countries it doesn't know.
            Some(Introduced { from, .. })
                if !self.countries.let_in(from, self.settings.admits_from_edge(from)) =>
            {
                let mut answer = refused(StatusCode::FORBIDDEN);
                answer.headers_mut().insert(edge::STRANGER, HeaderValue::from_static("yes"));
                Err(answer)
            }
            Some(Introduced { from, .. }) => {
                let admitted = self.of_edge.admit(from);
                Ok((from, admitted.ok_or_else(|| refused(StatusCode::SERVICE_UNAVAILABLE))?))
            }
        }
    }
}

/// Other end of a connection.
#[derive(Clone, Copy)]
enum From {
    /// A visitor at the panel's own port.
    Own(IpAddr),
    /// The edge, which tells of its visitors.
    Edge,
}

/// Requests of a connection.
#[derive(Default)]
struct Load {
    begun: AtomicUsize,
    first: Notify,
    in_hand: AtomicUsize,
}

impl Load {
    /// Waits, once the process is to end, until there is nothing more to wait for: the next process serves nobody before.
    async fn patience(&self) {
        let end = Instant::now() + LAST;
        let mut quiet = 0;
        while quiet < 2 && Instant::now() < end {
            sleep(GLANCE).await;
            quiet = if self.in_hand.load(Ordering::Relaxed) == 0 { quiet + 1 } else { 0 };
        }
    }
}

/// A request in hand.
struct Held(Arc<Load>);

impl Held {
    fn of(load: &Arc<Load>) -> Self {
        load.begun.fetch_add(1, Ordering::Relaxed);
        load.first.notify_one();
        load.in_hand.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}
