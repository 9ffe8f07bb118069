//! Orders to a running server that no commit carries: it is stopped and started again. The door judges who may give them.

mod pace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_engine::{EngineError, RestartError, Writer};
use berth_fault::chain;
use berth_plan::Subject;
use berth_schema::name::ServerId;
use berth_schema::server::PowerState;
use berth_tasks::Tasks;
use berth_wire::web::Act;
use berth_wire::{Ended, Event, PowerOrder, PowerRecord};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use self::pace::{Pace, Turn, Wait};
use crate::control::Events;
use crate::journal::Journal;
use crate::servers::{Known, Servers};
use crate::wakeup::Wakeups;

/// Orders at a time. The engine has passes to serve besides.
const AT_A_TIME: usize = 4;
/// Longest wait for one of these places.
const WAIT: Duration = Duration::from_secs(20);
/// Orders that are remembered.
const KEPT: usize = 20;

/// Orders that were carried out, the oldest first. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Orders(Arc<Mutex<Vec<PowerRecord>>>);

impl Orders {
    /// Returns those that are remembered.
    pub fn known(&self) -> Vec<PowerRecord> {
        self.0.lock().clone()
    }

    /// Takes over those that the journal knows.
    pub fn remember(&self, records: Vec<PowerRecord>) {
        *self.0.lock() = records;
    }

    /// Adds one, and returns those that are remembered.
    fn add(&self, record: PowerRecord) -> Vec<PowerRecord> {
        let mut records = self.0.lock();
        records.push(record);
        let surplus = records.len().saturating_sub(KEPT);
        records.drain(..surplus);
        records.clone()
    }
}

/// Whoever carries orders out.
#[derive(Clone)]
pub struct Power {
    with: Arc<Means>,
    places: Arc<Semaphore>,
    pace: Pace,
}

/// Everything that it takes to carry an order out and to tell of it.
#[expect(missing_docs, reason = "the types say it")]
pub struct Means {
    pub servers: Servers,
    pub orders: Orders,
    pub events: Events,
    pub writer: Writer,
    pub wakeups: Wakeups,
    pub journal: Journal,
    pub tasks: Tasks,
}

/// An order that isn't carried out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PowerError {
    #[error("the reconciler has only just started; try again in a minute")]
    TooEarly,
    #[error("there is no server with the id {0}")]
    NoServer(ServerId),
    #[error("{0} is removed; put its file back in the state repo, and it comes back with its data")]
    Removed(Subject),
    #[error("{0} is stopped, as its file says; set its state to `running`, and it starts")]
    Stopped(Subject),
    #[error("{0} has no container yet; the next pass makes and starts it")]
    NotMade(Subject),
    #[error("{0} doesn't run at the moment; the next pass starts it")]
    NotRunning(Subject),
    #[error("{0} is being changed right now; try again when that is done")]
    Busy(Subject),
    #[error("{subject} was restarted less than a minute ago; try again in {seconds} s")]
    TooSoon { subject: Subject, seconds: u64 },
    #[error("two of your restarts are under way; try again when one of them is done")]
    Yours,
    #[error("too many servers are being restarted; try again in a minute")]
    Full,
    #[error("cannot restart {subject}")]
    Engine {
        subject: Subject,
        #[source]
        source: EngineError,
    },
    #[error("the reconciler ends, and cannot say what became of {0}")]
    Ends(Subject),
}

/// A server that may be restarted now, as far as is known.
struct Target {
    server: ServerId,
    subject: Subject,
    id: String,
    name: String,
    stop_timeout: u32,
}

impl Power {
    /// Carries orders out with these means.
    pub fn new(with: Means) -> Self {
        Self { with: Arc::new(with), places: Arc::new(Semaphore::new(AT_A_TIME)), pace: Pace::default() }
    }

    /// Carries an order out, and returns what became of it once it is done. It is finished even if whoever asks goes.
    pub async fn obey(&self, order: PowerOrder) -> Result<PowerRecord, PowerError> {
        let target = self.target(order.server)?;
        let subject = target.subject.clone();
        let begun = self.pace.begin(order.server, &order.by, Instant::now());
        let turn = begun.map_err(|wait| match wait {
            Wait::Server(left) => {
                let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                PowerError::TooSoon { subject: subject.clone(), seconds }
            }
            Wait::User => PowerError::Yours,
        })?;
        let place = tokio::time::timeout(WAIT, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(PowerError::Full) };
        let (sender, ended) = oneshot::channel();
        let this = self.clone();
        self.with.tasks.serve("an order to a server", async move {
            let result = match order.act {
                Act::Restart => this.restart(order, target, turn).await,
            };
            drop(place);
            // Whoever asked may have gone.
            let _ = sender.send(result);
        });
        ended.await.unwrap_or(Err(PowerError::Ends(subject)))
    }

    /// Finds the server's container, if the server is to run.
    fn target(&self, server: ServerId) -> Result<Target, PowerError> {
        let seen = self.with.servers.seen();
        if seen.platform.is_none() {
            return Err(PowerError::TooEarly);
        }
        let known = seen.servers.get(&server).ok_or(PowerError::NoServer(server))?;
        let Known { name, container, id, wanted } = known.clone();
        let subject = Subject::Server { id: server, name };
        match (wanted, id) {
            (None, _) => Err(PowerError::Removed(subject)),
            (Some(PowerState::Stopped), _) => Err(PowerError::Stopped(subject)),
            (Some(PowerState::Running), None) => Err(PowerError::NotMade(subject)),
            (Some(PowerState::Running), Some(id)) => {
                Ok(Target { server, subject, id, name: container, stop_timeout: seen.stop_timeout })
            }
        }
    }

    async fn restart(
        &self,
        order: PowerOrder,
        target: Target,
        turn: Turn,
    ) -> Result<PowerRecord, PowerError> {
        let PowerOrder { act, by, .. } = order;
        let Target { server, subject, id, name, stop_timeout } = target;
        let started = Instant::now();
        let hush = self.with.wakeups.hush(&id);
        let restarted = self.with.writer.restart(server, &id, &name, stop_timeout).await;
        drop(hush);
        let source = match restarted {
            Ok(()) => None,
            Err(RestartError::Busy) => return Err(PowerError::Busy(subject)),
            Err(RestartError::NotRunning) => return Err(PowerError::NotRunning(subject)),
            Err(RestartError::Engine(source)) => Some(source),
        };
        turn.carried_out();
        let result = match &source {
            None => Ended::Done,
            Some(source) => Ended::Failed { error: chain(source), retry: source.retry() },
        };
        let millis = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let at = Timestamp::now();
        let record = PowerRecord { at, subject: subject.clone(), act, by, result, millis };
        match &source {
            None => tracing::info!(%subject, by = %record.by, millis, "restarted"),
            Some(error) => {
                tracing::warn!(%subject, by = %record.by, error = %chain(error), "cannot be restarted");
            }
        }
        self.with.events.tell(Event::Power(record.clone()));
        let all = self.with.orders.add(record.clone());
        if let Err(error) = self.with.journal.record_power(&all) {
            tracing::error!(error = %chain(&error), "the restart could not be written down");
        }
        match source {
            None => Ok(record),
            Some(source) => Err(PowerError::Engine { subject, source }),
        }
    }
}
