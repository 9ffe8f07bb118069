//! Drills: a place in which whoever backs up puts a copy of a server, the start of it, and its end.
//!
//! A lease is a connection, as it is for a hold: when the process at its other end is killed, the container and its volumes go. When this
//! process is killed, the next one removes them as it begins.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_engine::{BootError, Drills as Engine, EngineError};
use berth_fault::chain;
use berth_host::{RANGES, loaded_profiles};
use berth_plan::{Desired, apparmor};
use berth_schema::name::{Prefix, ServerId};
use berth_tasks::Tasks;
use berth_wire::hold::{Booted, DrillOrder};
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, mpsc, oneshot};

use crate::hold::Lease;

/// Longest time of a drill: the copy of a large server is fetched meanwhile.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A drill that isn't.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DrillError {
    #[error("the reconciler has only just started; try again in a minute")]
    TooEarly,
    #[error("there is no server with the id {0}")]
    NoServer(ServerId),
    #[error("another drill runs; try again when that is done")]
    Twice,
    #[error("no drill runs, or the reconciler was started anew meanwhile")]
    Over,
    #[error("the reconciler ends")]
    Ends,
    #[error("the restored server doesn't come up")]
    Boot(#[source] BootError),
    #[error("cannot make room for the drill")]
    Make(#[source] EngineError),
    #[error("cannot remove what the drill made; the next one does")]
    Remove(#[source] EngineError),
}

/// Answer to whoever ends a drill.
type Answer = oneshot::Sender<Result<(), DrillError>>;

/// A drill that runs.
struct Running {
    server: ServerId,
    /// The way to end it, until somebody has.
    end: Option<oneshot::Sender<Answer>>,
}

/// The drills of this platform: one at a time. Clones share it.
#[derive(Clone)]
pub struct Drills {
    engine: Engine,
    tasks: Tasks,
    /// The things that should exist, as of the last pass.
    desired: Arc<Mutex<Option<Arc<Desired>>>>,
    runs: Arc<Mutex<Option<Running>>>,
    /// Held over every change of a drill's container and volumes.
    turn: Arc<Turn<()>>,
}

impl Drills {
    /// Drills on this engine.
    pub fn new(engine: Engine, tasks: Tasks) -> Self {
        Self { engine, tasks, desired: Arc::default(), runs: Arc::default(), turn: Arc::default() }
    }

    /// Takes over what a pass knows.
    pub fn learn(&self, desired: Arc<Desired>) {
        *self.desired.lock() = Some(desired);
    }

    /// Removes what a process that was killed has left.
    pub async fn begin(&self, platform: Prefix) {
        let _turn = self.turn.lock().await;
        if let Err(error) = self.engine.remove(&platform).await {
            tracing::warn!(error = %chain(&error), "what a drill has left can't be removed; the next drill does it");
        }
    }

    /// Makes the volumes of a drill, and returns the lease on them.
    pub async fn make(&self, order: DrillOrder) -> Result<Lease, DrillError> {
        let desired = self.known()?;
        if !desired.servers.iter().any(|server| server.id == order.server) {
            return Err(DrillError::NoServer(order.server));
        }
        let (end, ended) = oneshot::channel();
        {
            let mut runs = self.runs.lock();
            if runs.is_some() {
                return Err(DrillError::Twice);
            }
            *runs = Some(Running { server: order.server, end: Some(end) });
        }
        let (sender, begun) = oneshot::channel();
        let this = self.clone();
        self.tasks.serve("a drill", async move {
            let made = this.remade(&desired).await;
            let failed = made.is_err();
            let (lease, theirs) = mpsc::channel(1);
            // Whoever asked may have gone; the lease is over then.
            let _ = sender.send(made.map(|()| theirs));
            let answer = if failed { None } else { this.last(&lease, ended).await };
            let removed = this.removed(desired.prefix()).await;
            if let Err(error) = &removed {
                tracing::error!(error = %chain(error), "a drill leaves something behind");
            }
            if let Some(answer) = answer {
                let _ = answer.send(removed);
            }
        });
        begun.await.unwrap_or(Err(DrillError::Ends))
    }

    async fn remade(&self, desired: &Desired) -> Result<(), DrillError> {
        let _turn = self.turn.lock().await;
        self.engine.remove(desired.prefix()).await.map_err(DrillError::Remove)?;
        self.engine.make(desired.drill_volumes()).await.map_err(DrillError::Make)
    }

    async fn removed(&self, platform: &Prefix) -> Result<(), DrillError> {
        let _turn = self.turn.lock().await;
        // From here on nothing of it is started, and another may begin, which waits for its turn.
        self.runs.lock().take();
        self.engine.remove(platform).await.map_err(DrillError::Remove)
    }

    /// Waits for the end of a lease.
    async fn last(&self, lease: &mpsc::Sender<()>, ended: oneshot::Receiver<Answer>) -> Option<Answer> {
        let stop = self.tasks.stop().clone();
        tokio::select! {
            biased;
            answer = ended => answer.ok(),
            () = lease.closed() => None,
            () = stop.cancelled() => None,
            () = tokio::time::sleep(LONGEST) => None,
        }
    }

    /// Starts the restored server, and returns once it is up.
    pub async fn boot(&self) -> Result<Booted, DrillError> {
        let desired = self.known()?;
        let id = self.runs.lock().as_ref().map(|running| running.server).ok_or(DrillError::Over)?;
        let server = desired.servers.iter().find(|server| server.id == id).ok_or(DrillError::NoServer(id))?;
        // Without a list of profiles it is confined as it would be on a host that has none.
        let loaded = loaded_profiles().unwrap_or_default();
        let spec =
            apparmor::confine(desired.drill_spec(server, free_id(&desired)), apparmor::SERVER, &loaded);
        let begun = Instant::now();
        {
            let _turn = self.turn.lock().await;
            if self.runs.lock().is_none() {
                return Err(DrillError::Over);
            }
            self.engine.start(&spec).await.map_err(|error| DrillError::Boot(error.into()))?;
        }
        let by = self.engine.up(&spec.name).await.map_err(DrillError::Boot)?;
        Ok(Booted { millis: begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX), by })
    }

    /// Ends a drill: its container and its volumes are gone afterwards.
    pub async fn end(&self) -> Result<(), DrillError> {
        let end = self.runs.lock().as_mut().and_then(|running| running.end.take());
        let end = end.ok_or(DrillError::Over)?;
        let (answer, answered) = oneshot::channel();
        end.send(answer).map_err(|_| DrillError::Over)?;
        answered.await.unwrap_or(Err(DrillError::Ends))
    }

    fn known(&self) -> Result<Arc<Desired>, DrillError> {
        self.desired.lock().clone().ok_or(DrillError::TooEarly)
    }
}

/// An id that no server has, nor a canary of the doctor's, which has the first two.
fn free_id(desired: &Desired) -> ServerId {
    let taken: HashSet<u32> = desired.servers.iter().map(|server| server.id.get()).collect();
    let free = (1..=RANGES).rev().filter(|id| !taken.contains(id)).nth(2);
    ServerId(free.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN))
}
