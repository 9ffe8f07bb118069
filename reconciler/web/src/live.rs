//! The reconciler, as the panel hears of it: one connection to `panel.sock` for everybody who looks.
//!
//! Holds what was heard last, and since when nothing was heard. Decides nothing, and shows nothing to anybody by itself: what
//! each person may see of it is for the pages to say.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_plan::{Action, Subject};
use berth_schema::name::ServerId;
use berth_schema::{Origin, Revision};
use berth_wire::client::{ClientError, Daemon};
use berth_wire::status::{ServerRow, Status};
use berth_wire::{Event, Listener, Outcome, PassRecord, PowerRecord};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

/// Time between two looks when no event tells of anything.
const EVERY: Duration = Duration::from_secs(10);
/// Time before the reconciler is looked for again.
const AGAIN: Duration = Duration::from_secs(2);
/// The least time between two statuses, however much happens.
const BREATH: Duration = Duration::from_millis(300);
/// Passes that are remembered.
const PASSES: usize = 64;

/// The reconciler, as the panel hears of it. A clone hears the same.
#[derive(Debug, Clone)]
pub struct Live(watch::Receiver<Arc<World>>);

/// Everything that was heard.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// When anything was heard last.
    pub heard: Option<Timestamp>,
    /// Set while the reconciler answers.
    pub answers: bool,
    /// Its last status.
    pub status: Option<Arc<Status>>,
    /// The pass that goes on.
    pub work: Option<Work>,
    /// Passes that ended, the newest first.
    pub passes: VecDeque<Arc<PassRecord>>,
}

/// A pass that goes on.
#[derive(Debug, Clone)]
pub struct Work {
    /// The revision that it works towards.
    pub revision: Origin,
    /// Number of its changes.
    pub changes: usize,
    /// Changes that have begun and not ended.
    pub begun: Vec<(Subject, Action)>,
    /// Changes that have ended.
    pub ended: Vec<Outcome>,
}

impl Live {
    /// Follows the reconciler behind a socket, by a task that never ends by itself.
    pub fn follow(socket: PathBuf) -> (Self, impl Future<Output = ()> + Send) {
        let (tell, heard) = watch::channel(Arc::default());
        let task = async move {
            loop {
                if let Err(error) = listen(&socket, &tell).await {
                    tracing::warn!(error = berth_fault::chain(&error), "the reconciler can't be heard");
                }
                tell.send_if_modified(|world| {
                    let did = world.answers;
                    let world = Arc::make_mut(world);
                    (world.answers, world.work) = (false, None);
                    did
                });
                tokio::time::sleep(AGAIN).await;
            }
        };
        (Self(heard), task)
    }

    /// Everything that was heard so far.
    pub fn now(&self) -> Arc<World> {
        self.0.borrow().clone()
    }

    /// Waits until something else is heard; forever, when nothing can be any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Ear(mpsc::UnboundedSender<Event>);

impl Listener for Ear {
    fn hear(&self, event: Event) {
        // Nobody takes it in any more when the connection is given up.
        let _ = self.0.send(event);
    }
}

/// Listens to the reconciler until it ends.
async fn listen(socket: &std::path::Path, tell: &watch::Sender<Arc<World>>) -> Result<(), ClientError> {
    let (Some(mut teller), Some(mut asked)) = (Daemon::find(socket).await?, Daemon::find(socket).await?)
    else {
        return Ok(());
    };
    let (ear, mut events) = mpsc::unbounded_channel();
    let ear = Ear(ear);
    let mut told = std::pin::pin!(teller.listen(&ear));
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut due = false;
    loop {
        let breath = async {
            match due {
                true => tokio::time::sleep(BREATH).await,
                false => std::future::pending().await,
            }
        };
        let is_due = tokio::select! {
            ended = &mut told => return ended,
            event = events.recv() => {
                let Some(event) = event else { return Ok(()) };
                tell.send_modify(|world| Arc::make_mut(world).take_in(event));
                due = true;
                false
            }
            () = breath => true,
            _ = tick.tick() => true,
        };
        if is_due {
            due = false;
            let status = asked.status().await?;
            tell.send_modify(|world| Arc::make_mut(world).see(status));
        }
    }
}

impl World {
    fn see(&mut self, status: Option<Status>) {
        self.heard = Some(Timestamp::now());
        self.answers = true;
        let Some(status) = status else { return };
        if let Some(record) = &status.last_pass
            && self.passes.front().is_none_or(|last| **last != *record)
        {
            self.remember(record.clone());
        }
        self.status = Some(Arc::new(status));
    }

    fn take_in(&mut self, event: Event) {
        self.heard = Some(Timestamp::now());
        self.answers = true;
        match event {
            Event::Planned { revision, changes, .. } => {
                self.work = Some(Work { revision, changes, begun: Vec::new(), ended: Vec::new() });
            }
            Event::Begun { subject, action } => {
                if let Some(work) = &mut self.work {
                    work.begun.push((subject, action));
                }
            }
            Event::Ended(outcome) => {
                if let Some(work) = &mut self.work {
                    work.begun.retain(|(subject, _)| *subject != outcome.subject);
                    work.ended.push(outcome);
                }
            }
            Event::PassEnded(record) => {
                self.work = None;
                self.remember(record);
            }
            _ => {}
        }
    }

    /// Keeps a record. A pass that found nothing new replaces the one before it of the same revision.
    fn remember(&mut self, record: PassRecord) {
        if record.outcomes.is_empty()
            && record.problems.is_empty()
            && let Some(last) = self.passes.front()
            && last.attempted == record.attempted
            && last.is_clean()
        {
            return;
        }
        self.passes.push_front(Arc::new(record));
        self.passes.truncate(PASSES);
    }

    /// The server's row of the last status.
    pub fn server(&self, id: ServerId) -> Option<&ServerRow> {
        self.status.as_ref()?.servers.iter().find(|row| row.id == id.get())
    }

    /// The change of a server that goes on.
    pub fn action_on(&self, id: ServerId) -> Option<Action> {
        let is_it = |subject: &Subject| matches!(subject, Subject::Server { id: found, .. } if *found == id);
        self.work.as_ref()?.begun.iter().find(|(subject, _)| is_it(subject)).map(|(_, action)| *action)
    }

    /// The last restart of the server that somebody asked for.
    pub fn restart_of(&self, id: ServerId) -> Option<&PowerRecord> {
        let is_it = |record: &&PowerRecord| matches!(record.subject, Subject::Server { id: found, .. } if found == id);
        self.status.as_ref()?.power.iter().rfind(is_it)
    }

    /// The newest pass that looked at this revision.
    pub fn pass_of(&self, revision: Revision) -> Option<&Arc<PassRecord>> {
        self.passes.iter().find(|record| record.attempted == Some(Origin::Revision(revision)))
    }

    /// The newest pass.
    pub fn last_pass(&self) -> Option<&Arc<PassRecord>> {
        self.passes.front()
    }
}
