//! Holds: a server stands still for whoever copies its data, and runs on when they let it go, or go themselves.
//!
//! A lease is a connection: when the process at its other end is killed, the kernel closes it. When this process is killed, the next pass
//! finds a server that doesn't run as the state says, and starts it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use berth_engine::{EngineError, HoldError, Reader, Still, Writer};
use berth_fault::chain;
use berth_plan::Subject;
use berth_schema::name::ServerId;
use berth_tasks::Tasks;
use berth_wire::hold::{HoldOrder, VolumeSight};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::servers::Servers;
use crate::wakeup::{Hush, Wakeups};

/// Longest time that a server is held. The whole data of one was copied before.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// A hold that isn't, or that ended otherwise than it should have.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HeldError {
    #[error("the reconciler has only just started; try again in a minute")]
    TooEarly,
    #[error("there is no server with the id {0}")]
    NoServer(ServerId),
    #[error("somebody holds {0} already; try again when that is done")]
    Twice(Subject),
    #[error("cannot hold {subject}")]
    Hold {
        subject: Subject,
        #[source]
        source: HoldError,
    },
    #[error("nobody holds the server any more: it was held for too long, or the reconciler was started anew")]
    Over,
    #[error("the reconciler ends")]
    Ends,
    #[error("cannot list the volumes")]
    Volumes(#[source] EngineError),
}

/// Answer to whoever lets a server go.
type Answer = oneshot::Sender<Result<(), HeldError>>;

/// The servers that stand still. Clones share them.
#[derive(Clone)]
pub struct Holds {
    with: Arc<Means>,
    held: Arc<Mutex<HashMap<ServerId, Option<oneshot::Sender<Answer>>>>>,
}

/// Everything that it takes to hold a server.
#[expect(missing_docs, reason = "the types say it")]
pub struct Means {
    pub servers: Servers,
    pub reader: Reader,
    pub writer: Writer,
    pub wakeups: Wakeups,
    pub tasks: Tasks,
}

/// Lease on a server. It runs on when this is dropped.
pub type Lease = mpsc::Receiver<()>;

/// A server, as it is held.
struct Hold {
    subject: Subject,
    still: Still,
    after: Option<String>,
    _hush: Option<Hush>,
    mark: Mark,
}

/// Mark of a server that somebody holds.
struct Mark(Holds, ServerId);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.held.lock().remove(&self.1);
    }
}

impl Holds {
    /// Holds servers with these means.
    pub fn new(with: Means) -> Self {
        Self { with: Arc::new(with), held: Arc::default() }
    }

    /// Lists the platform's volumes.
    pub async fn volumes(&self) -> Result<Vec<VolumeSight>, HeldError> {
        let seen = self.with.servers.seen();
        let platform = seen.platform.as_ref().ok_or(HeldError::TooEarly)?;
        self.with.reader.volumes(platform).await.map_err(HeldError::Volumes)
    }

    /// Has a server stand still, and returns the lease on it once it does.
    pub async fn hold(&self, order: HoldOrder) -> Result<Lease, HeldError> {
        let (sender, begun) = oneshot::channel();
        let this = self.clone();
        self.with.tasks.serve("a hold on a server", async move {
            match this.begin(order).await {
                Err(error) => drop(sender.send(Err(error))),
                Ok(hold) => {
                    let (lease, theirs) = mpsc::channel(1);
                    let (release, released) = oneshot::channel();
                    this.held.lock().insert(hold.mark.1, Some(release));
                    // Whoever asked may have gone; the lease is over then.
                    let _ = sender.send(Ok(theirs));
                    hold.last(&lease, released).await;
                }
            }
        });
        begun.await.unwrap_or(Err(HeldError::Ends))
    }

    async fn begin(&self, order: HoldOrder) -> Result<Hold, HeldError> {
        let seen = self.with.servers.seen();
        if seen.platform.is_none() {
            return Err(HeldError::TooEarly);
        }
        let known = seen.servers.get(&order.server).ok_or(HeldError::NoServer(order.server))?.clone();
        let subject = Subject::Server { id: order.server, name: known.name };
        match self.held.lock().entry(order.server) {
            std::collections::hash_map::Entry::Occupied(_) => return Err(HeldError::Twice(subject)),
            std::collections::hash_map::Entry::Vacant(free) => free.insert(None),
        };
        let mark = Mark(self.clone(), order.server);
        // Without a container, nothing runs; its turn is held all the same.
        let id = known.id.as_deref();
        let hush = id.map(|id| self.with.wakeups.hush(id));
        let container = (id.unwrap_or(&known.container), known.container.as_str());
        let still = self
            .with
            .writer
            .hold(order.server, container, order.pause, order.before.as_deref(), seen.stop_timeout)
            .await
            .map_err(|source| HeldError::Hold { subject: subject.clone(), source })?;
        tracing::info!(%subject, pause = ?order.pause, "held");
        Ok(Hold { subject, still, after: order.after, _hush: hush, mark })
    }

    /// Lets a server run on.
    pub async fn release(&self, server: ServerId) -> Result<(), HeldError> {
        let release = self.held.lock().get_mut(&server).and_then(Option::take).ok_or(HeldError::Over)?;
        let (answer, answered) = oneshot::channel();
        release.send(answer).map_err(|_| HeldError::Over)?;
        answered.await.unwrap_or(Err(HeldError::Ends))
    }
}

impl Hold {
    /// Waits for the end of the lease, and lets the server run on.
    async fn last(self, lease: &mpsc::Sender<()>, released: oneshot::Receiver<Answer>) {
        let stop = self.mark.0.with.tasks.stop().clone();
        let answer = tokio::select! {
            biased;
            answer = released => answer.ok(),
            () = lease.closed() => None,
            () = stop.cancelled() => None,
            () = tokio::time::sleep(LONGEST) => None,
        };
        let Self { subject, still, after, _hush, mark: _mark } = self;
        let ended = still.release(after.as_deref()).await;
        match &ended {
            Ok(()) => tracing::info!(%subject, asked = answer.is_some(), "runs on"),
            Err(error) => tracing::warn!(%subject, error = %chain(error), "cannot run on as it should"),
        }
        let ended = ended.map_err(|source| HeldError::Hold { subject, source });
        if let Some(answer) = answer {
            let _ = answer.send(ended);
        }
    }
}
