//! The gate's socket: the edge's requests, each connection a task.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_fault::{Fault, Kind};
use berth_host::StagedSocket;
use berth_tasks::{TaskError, Tasks};
use berth_wire::grant::GATE_SOCKET;
use berth_wire::web::Door;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::interval;

use crate::answer::answer;
use crate::carry::Apps;
use crate::gate::Gate;
use crate::live::Grants;
use crate::seal::{NoRandom, Seal};
use crate::told;

/// Time between two looks for grants that are over.
const SWEEP: Duration = Duration::from_secs(60);
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
            Self::Random(_) | Self::Task(_) => Kind::Internal,
        }
    }
}

/// Serves the edge at the socket `listen` until `tasks` are asked to end. `door` is the folder in which the door tells its key and
/// what has ended, and answers.
pub async fn serve(listen: &Path, door: &Path, tasks: &Tasks) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen { path: listen.to_owned(), source };
    let listener = bind(listen).and_then(UnixListener::from_std).map_err(failed)?;
    let told = told::first(door);
    let client = Door::at(&door.join(GATE_SOCKET));
    let grants = Grants::new(client.clone(), told.subscribe());
    let gate = Arc::new(Gate { grants: grants.clone(), seal: Seal::new()?, apps: Apps::new(), door: client });
    tasks.keep("the look at what has ended", told::follow(door.to_owned(), told));
    tasks.keep("the sweep of grants", sweep(grants));
    tracing::info!(socket = %listen.display(), "the gate is open");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.stop().cancelled() => break,
        };
        match accepted {
            // What is open then ends with the process.
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, Arc::clone(&gate)))),
            Err(error) => {
                tracing::warn!(%error, "the gate can't take a connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
    Ok(tasks.end().await?)
}

/// Makes the socket, in place of one that was left behind.
fn bind(path: &Path) -> io::Result<StdListener> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    StagedSocket::make(folder)?.put(path)
}

async fn sweep(grants: Grants) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        grants.sweep();
    }
}

async fn converse(stream: UnixStream, gate: Arc<Gate>) {
    let service = service_fn(move |request| {
        let gate = Arc::clone(&gate);
        async move { Ok::<_, Infallible>(answer(&gate, request).await) }
    });
    let mut server = http1::Builder::new();
    // The edge ends what it doesn't use. If we did, a form could come in that very moment, and be lost.
    server.timer(TokioTimer::new()).header_read_timeout(None);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, "a connection of the edge's broke");
    }
}
