//! The control socket: HTTP over a unix socket that only the daemon's own user may open. Reads and requests; nothing
//! here can change what should exist.

mod observed;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, Listener};
use crate::figures::CacheFigures;
use crate::look::Lookout;
use crate::metrics;
use crate::sshrouter::SshRouter;
use crate::status::Status;
use crate::wakeup::Wakeups;
use crate::watch::EngineHealth;

/// Events that a slow listener may lag behind before it is told that it missed some.
const EVENTS_KEPT: usize = 4096;

/// What the daemon shares with its control socket.
#[derive(Clone)]
pub struct Control {
    wakeups: Wakeups,
    events: broadcast::Sender<Arc<Event>>,
    status: Arc<Mutex<Option<Status>>>,
    cache: Arc<Mutex<Option<CacheFigures>>>,
    health: EngineHealth,
    lookout: Arc<OnceLock<Lookout>>,
    recent: Arc<Mutex<Recent>>,
    ssh_router: Option<SshRouter>,
}

/// The events of the pass that runs, or ran last. One that found nothing left to do by the revision of the one before
/// doesn't take its place: the engine's own events bring about such passes, and whoever pushed wants to hear what was done.
#[derive(Debug, Default)]
struct Recent {
    events: Vec<Arc<Event>>,
    /// Whether the pass that runs is such a one.
    idle: bool,
}

impl Recent {
    fn keep(&mut self, event: &Arc<Event>) {
        let ended = match self.events.last().map(|last| &**last) {
            Some(Event::PassEnded(record)) => Some(record),
            _ => None,
        };
        match (&**event, ended) {
            (Event::Planned { revision, changes: 0, .. }, Some(ended)) => {
                self.idle = ended.is_clean() && ended.revision.as_ref() == Some(revision);
            }
            (Event::PassEnded(_), _) if self.idle => {
                self.idle = false;
                return;
            }
            _ => {}
        }
        if self.idle {
            return;
        }
        if ended.is_some() {
            self.events.clear();
        }
        self.events.push(Arc::clone(event));
    }
}

impl Listener for Control {
    fn hear(&self, event: Event) {
        let event = Arc::new(event);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.keep(&event);
        // Nobody listening is the usual case, not a failure. Sent under the lock, so that whoever begins to listen misses
        // nothing and hears nothing twice.
        let _ = self.events.send(event);
    }
}

/// The control socket can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("open the control socket {path}")]
pub struct ControlError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Control {
    /// A control whose requests ring `wakeups`.
    pub fn new(wakeups: Wakeups, health: EngineHealth) -> Self {
        Self {
            wakeups,
            events: broadcast::channel(EVENTS_KEPT).0,
            status: Arc::default(),
            cache: Arc::default(),
            health,
            lookout: Arc::default(),
            recent: Arc::default(),
            ssh_router: None,
        }
    }

    /// Answers looks at the engine from there.
    pub fn look_from(&self, lookout: Lookout) {
        // A second one would be the same.
        let _ = self.lookout.set(lookout);
    }

    /// What was told of the pass for this revision, if it runs or was the last, and what will be told from now on.
    fn listen(&self, revision: Option<&str>) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = match recent.events.first().map(|event| &**event) {
            Some(Event::Planned { revision: of, .. }) => revision == Some(of.as_str()),
            Some(Event::PassEnded(record)) => revision == Some(record.attempted.as_str()),
            _ => false,
        };
        let told = if is_it { recent.events.clone() } else { Vec::new() };
        (told, self.events.subscribe())
    }

    /// The same, which answers other SSH routers too.
    pub fn with_ssh_router(self, ssh_router: SshRouter) -> Self {
        Self { ssh_router: Some(ssh_router), ..self }
    }

    /// The status as it was published, with the engine's health of this moment.
    fn status(&self) -> Option<Status> {
        let published = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner).clone();
        published.map(|status| Status { engine_answers: self.health.answers(), cache, ..status })
    }

    /// Puts new figures of the image cache in place; `None` when there is no cache.
    pub fn publish_cache(&self, figures: Option<CacheFigures>) {
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }

    /// The name of the image cache's container, if it ran at the last look.
    pub fn running_cache(&self) -> Option<String> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = status.as_ref()?.system.iter();
        rows.find(|row| row.name.ends_with("-users-dockerhub-cache") && row.actual == "running")
            .map(|row| row.name.clone())
    }

    /// Puts a new status in place.
    pub fn publish(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// Serves the socket until `stop`.
    pub async fn serve(self, socket: Socket, stop: CancellationToken) -> Result<(), ControlError> {
        let Socket { path, listener } = socket;
        let failed = |source| ControlError { path: path.clone(), source };
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let others = self.ssh_router.clone().map(SshRouter::router).unwrap_or_default();
        let router = Router::new()
            .route("/status", get(status))
            .route("/events", get(events))
            .route("/sync", post(sync))
            .route("/observed", get(observed::observed))
            .route("/metrics", get(metrics_text))
            .with_state(self)
            .merge(others);
        let served = axum::serve(listener, router).into_future();
        // Not a graceful shutdown: an event stream never ends by itself, and nothing here is half done.
        tokio::select! {
            ended = served => ended.map_err(failed),
            () = stop.cancelled() => {
                let _ = fs::remove_file(&path);
                Ok(())
            }
        }
    }
}

/// The control socket, which takes connections from now on.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: std::os::unix::net::UnixListener,
}

impl Socket {
    /// Makes the socket at `path`, open to nobody else. The caller holds the journal's lock, so a socket that is there already
    /// was left by a process that is gone.
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        let failed = |source| ControlError { path: path.to_owned(), source };
        let listener = bind(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), listener })
    }
}

/// Made in a folder that is ours alone and moved into its place whole, so that it is at no moment open to anybody else.
fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    // The names are no longer than `control.sock`: a path that may be a socket's leaves room for them.
    let staging = tempfile::Builder::new()
        .prefix(".c-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(path.parent().unwrap_or(path))?;
    let made = staging.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&made)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    fs::rename(&made, path)?;
    Ok(listener)
}

async fn status(State(control): State<Control>) -> Response {
    match control.status() {
        Some(status) => Json(status).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the first pass is still running\n").into_response(),
    }
}

/// Every event from now on, one JSON object a line.
async fn events(State(control): State<Control>) -> Response {
    lines(Vec::new(), control.events.subscribe(), Until::TheyGo)
}

#[derive(Deserialize)]
struct Sync {
    /// Whose pass is of interest, even if it has begun already, or has ended.
    revision: Option<String>,
}

/// Asks for a pass and streams its events; the last line is the answer. With a revision, what was told of that revision's
/// pass so far comes first, and is the whole answer if that has ended; while something of it is tried again, the events go on.
async fn sync(State(control): State<Control>, Query(asked): Query<Sync>) -> Response {
    let (mut told, events) = control.listen(asked.revision.as_deref());
    let until = match told.last().map(|event| &**event) {
        Some(Event::PassEnded(record)) if record.retry_millis.is_some() => Until::TheyGo,
        Some(Event::PassEnded(record)) => {
            let answer = Event::Answer { record: Some(record.clone()) };
            told.push(Arc::new(answer));
            let bytes: Vec<u8> = told.iter().flat_map(|event| line(event)).collect();
            return bytes.into_response();
        }
        _ if asked.revision.is_some() => Until::NothingIsRetried(control.wakeups.request()),
        _ => Until::PassEnds(control.wakeups.request()),
    };
    lines(told, events, until)
}

async fn metrics_text(State(control): State<Control>) -> Response {
    metrics::text(control.status().as_ref()).into_response()
}

type Ended = tokio::sync::oneshot::Receiver<crate::journal::PassRecord>;

/// How long events are told.
enum Until {
    /// Until this pass has ended.
    PassEnds(Ended),
    /// The same, and then on if something that failed in it is tried again.
    NothingIsRetried(Ended),
    /// Until whoever listens goes.
    TheyGo,
    /// No longer.
    Over,
}

/// Events as JSON lines, those that were told already first.
fn lines(told: Vec<Arc<Event>>, events: broadcast::Receiver<Arc<Event>>, until: Until) -> Response {
    let told = stream::iter(told).map(|event| line(&event));
    let stream = stream::unfold((events, until), |(mut events, mut until)| async move {
        loop {
            let heard = match &mut until {
                Until::Over => return None,
                Until::TheyGo => events.recv().await,
                Until::PassEnds(answer) | Until::NothingIsRetried(answer) => tokio::select! {
                    biased;
                    heard = events.recv() => heard,
                    record = answer => {
                        // Whoever asked gets the record of their own pass, even if its event was missed.
                        let record = record.ok();
                        let retried = record.as_ref().is_some_and(|record| record.retry_millis.is_some());
                        let until = match until {
                            Until::NothingIsRetried(_) if retried => Until::TheyGo,
                            _ => Until::Over,
                        };
                        return Some((line(&Event::Answer { record }), (events, until)));
                    }
                },
            };
            match heard {
                Ok(event) => return Some((line(&event), (events, until))),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Body::from_stream(told.chain(stream).map(Ok::<_, std::convert::Infallible>)).into_response()
}

fn line(event: &Event) -> Bytes {
    let mut bytes = serde_json::to_vec(event).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::journal::PassRecord;

    #[test]
    fn the_socket_is_its_owner_s_alone_and_says_where_it_can_not_be() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("control.sock");
        fs::write(&path, "left behind").unwrap();
        let _socket = Socket::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside it");

        // The kernel takes paths of 107 bytes at most.
        let deep = home.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let error = Socket::open(&deep.join("control.sock")).unwrap_err();
        assert!(error.to_string().contains("ddd/control.sock"), "{error}");
    }

    #[test]
    fn a_pass_with_nothing_left_to_do_takes_no_place() {
        let planned = |revision: &str, changes| Event::Planned {
            revision: revision.to_owned(),
            changes,
            text: String::new(),
            digest: String::new(),
        };
        let ended = |revision: &str| {
            Event::PassEnded(PassRecord {
                at: Timestamp::UNIX_EPOCH,
                attempted: revision.to_owned(),
                revision: Some(revision.to_owned()),
                reason: String::new(),
                outcomes: Vec::new(),
                problems: Vec::new(),
                retry_millis: None,
            })
        };
        let control = Control::new(Wakeups::default(), EngineHealth::default());
        let changes = |revision: &str| match control.listen(Some(revision)).0.first().map(|event| &**event) {
            Some(Event::Planned { changes, .. }) => Some(*changes),
            _ => None,
        };
        for event in [planned("one", 2), ended("one"), planned("one", 0)] {
            control.hear(event);
        }
        assert_eq!((changes("one"), control.listen(Some("one")).0.len()), (Some(2), 2));
        control.hear(ended("one"));
        assert_eq!(changes("one"), Some(2));
        for event in [planned("one", 1), ended("one"), planned("two", 0)] {
            control.hear(event);
        }
        assert_eq!((changes("one"), changes("two")), (None, Some(0)));
        control.hear(ended("two"));
        control.hear(planned("two", 3));
        assert_eq!((changes("two"), control.listen(Some("two")).0.len()), (Some(3), 1));
    }
}
