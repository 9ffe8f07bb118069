//! The gate's socket: the edge's requests, each connection a task.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_count::{Counted, Counts};
use berth_fault::{Fault, Kind, chain};
use berth_host::StagedSocket;
use berth_tasks::{TaskError, Tasks};
use berth_wire::grant::GATE_SOCKET;
use berth_wire::web::{Door, GateCounted};
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::answer;
use crate::carry::Apps;
use crate::gate::Gate;
use crate::live::Grants;
use crate::seal::{NoRandom, Seal};
use crate::told;

/// Time between two looks for grants that are over.
const SWEEP: Duration = Duration::from_secs(60);
/// Time between two tellings of what was counted.
const TELL: Duration = Duration::from_secs(10);
/// Wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// A gate that can't be opened, or can't go on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ServeError {
    /// The socket can't be made.
    #[error("cannot listen at {path}")]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The socket can't be used.
    #[error("cannot use the socket")]
    Socket(#[source] io::Error),
    /// Nobody can be told that the gate listens.
    #[error("cannot say that the gate is open")]
    Ready(#[source] io::Error),
    /// There are no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// A task that it needs has ended.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl Fault for ServeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Listen { .. } => Kind::Configuration,
            Self::Socket(_) | Self::Ready(_) | Self::Random(_) | Self::Task(_) => Kind::Internal,
        }
    }
}

/// Way to the end of a gate.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Time for which connections may go on once the gate is asked to end.
    pub longest: Duration,
    /// Cancelled to end them at once.
    pub now: CancellationToken,
}

/// Makes the socket for the edge, in place of one that was left behind.
pub fn bind(path: &Path) -> Result<StdListener, ServeError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = StagedSocket::make(folder).and_then(|staged| staged.put(path));
    made.map_err(|source| ServeError::Listen { path: path.to_owned(), source })
}

/// Serves the edge at `listener` until `tasks` are asked to end, and what is open then until it ends by itself or `finish` says
/// so. `door` is the folder in which the door tells its key and what has ended, and answers. `ready` is called once the gate
/// listens.
pub async fn serve(
    listener: StdListener,
    door: &Path,
    finish: Finish,
    tasks: &Tasks,
    ready: impl FnOnce() -> io::Result<()>,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true).map_err(ServeError::Socket)?;
    let listener = UnixListener::from_std(listener).map_err(ServeError::Socket)?;
    let told = told::first(door);
    let client = Door::at(&door.join(GATE_SOCKET));
    let grants = Grants::new(client.clone(), told.subscribe());
    let open = TaskTracker::new();
    let apps = Apps::new(open.clone());
    let gate = Arc::new(Gate { grants: grants.clone(), seal: Seal::new()?, apps, door: client });
    // A right may end while the gate finishes, too.
    let over = CancellationToken::new();
    tasks.keep_until(&over, "the look at what has ended", told::follow(door.to_owned(), told));
    tasks.keep_until(&over, "the sweep of grants", sweep(grants));
    // The one that takes over counts anew, and tells that.
    tasks.keep("the counts", tell_counts(Arc::clone(&gate)));
    tracing::info!("the gate is open");
    ready().map_err(ServeError::Ready)?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.stop().cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                open.spawn(converse(stream, Arc::clone(&gate), tasks.stop().clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the gate can't take a connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
    drop(listener);
    open.close();
    tracing::info!(open = open.len(), "the gate takes nobody else; what is open may finish");
    // What is open after that ends with the process.
    tokio::select! {
        () = open.wait() => {}
        () = tokio::time::sleep(finish.longest) => {}
        () = finish.now.cancelled() => {}
    }
    over.cancel();
    Ok(tasks.end().await?)
}

async fn sweep(grants: Grants) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        grants.sweep();
    }
}

/// Tells the door what was counted, again and again. The door leaves it for whoever gathers it.
async fn tell_counts(gate: Arc<Gate>) {
    let mut told = Counts::default();
    let mut ticks = interval(TELL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let counts = berth_count::now();
        if counts == told {
            continue;
        }
        match gate.ask(&GateCounted { counts: counts.text() }).await {
            Some(Ok(_)) => told = counts,
            Some(Err(error)) => {
                tracing::debug!(error = chain(&error), "the door can't be told what was counted");
            }
            None => {}
        }
    }
}

async fn converse(stream: UnixStream, gate: Arc<Gate>, finishing: CancellationToken) {
    let service = service_fn(move |request| {
        let (gate, finishing) = (Arc::clone(&gate), finishing.clone());
        async move {
            let mut answer = answer(&gate, request).await;
            berth_count::count(Counted::gate(answer.status().as_u16()), 1);
            if finishing.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                // The edge brings its next request to the gate that took over.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut server = http1::Builder::new();
    // The edge ends what it doesn't use. If we did, a form could come in that very moment, and be lost.
    server.timer(TokioTimer::new()).header_read_timeout(None);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, "a connection of the edge's broke");
    }
}
