//! A pass that an admin asks for: the reconciler compares everything with what the state says.

use std::time::Duration;

use berth_schema::text::safe_line;
use berth_wire::client::Daemon;
use berth_wire::web::{Question, Refusal, Sync, Synced};
use berth_wire::{Event, Listener, PassRecord};
use tokio::runtime::Handle;

use super::audit::Act;
use super::changes::socket;
use super::panel::{Asker, Panel};
use super::power::NoReconciler;
use super::refusals::unavailable;

/// Part of the question's own time that is kept for the answer.
const MARGIN: Duration = Duration::from_secs(5);
/// Problems that are told, and characters of each.
const PROBLEMS: usize = 20;
const LONGEST: usize = 300;

/// Asks for a pass, and waits for its end as long as there is time.
pub(crate) fn sync(panel: &Panel, asker: &Asker, _: Sync) -> Result<Synced, Refusal> {
    let socket = socket(&panel.door.settings().data);
    Handle::current().block_on(async {
        let daemon = Daemon::find(&socket).await.map_err(|error| unavailable(&error))?;
        let Some(mut daemon) = daemon else { return Err(unavailable(&NoReconciler)) };
        panel.note(Some(&asker.name), None, Act::Sync);
        match tokio::time::timeout(<Sync as Question>::PATIENCE - MARGIN, daemon.sync(&Nobody)).await {
            // It goes on without anybody who listens.
            Err(_) => Ok(Synced { is_over: false, is_clean: false, done: 0, problems: Vec::new() }),
            Ok(Ok(record)) => Ok(told(&record)),
            Ok(Err(error)) => Err(unavailable(&error)),
        }
    })
}

/// A listener that does nothing: only the end counts.
struct Nobody;

impl Listener for Nobody {
    fn hear(&self, _: Event) {}
}

fn told(record: &PassRecord) -> Synced {
    let done = record.outcomes.iter().filter(|outcome| outcome.is_done()).count();
    let failed = record.outcomes.iter().filter(|outcome| !outcome.is_done());
    let failed = failed.map(|outcome| format!("{} was not done: {}", outcome.action, outcome.subject));
    let problems = record.problems.iter().cloned().chain(failed);
    Synced {
        is_over: true,
        is_clean: record.is_clean(),
        done: u32::try_from(done).unwrap_or(u32::MAX),
        problems: problems.take(PROBLEMS).map(|problem| safe_line(&problem, LONGEST)).collect(),
    }
}
