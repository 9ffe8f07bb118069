//! The schedule: stages in order, the changes of a stage side by side, the steps of a change one after the other.

use std::time::Instant;

use berth_fault::chain;
use berth_plan::{Change, Plan, Subject};
use berth_wire::{Ended, Event, Listener, Outcome};
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::error::StepError;
use super::writer::{Made, Writer};

/// Changes at a time. The engine is the limit from four on: eight starts at once are no faster and wait longer each.
const WIDTH: usize = 4;

/// Does what the plan says and returns each change's outcome, in the order in which they ended. One change's failure
/// stops no other. When `stop` is cancelled, steps in hand are finished and no other is begun.
pub async fn apply(
    plan: &Plan,
    writer: &Writer,
    listener: &dyn Listener,
    stop: &CancellationToken,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for stage in &plan.stages {
        let mut running = stream::iter(&stage.changes)
            .map(|change| run(change, writer, listener, stop))
            .buffer_unordered(WIDTH);
        while let Some(outcome) = running.next().await {
            outcomes.push(outcome);
        }
    }
    outcomes
}

async fn run(change: &Change, writer: &Writer, listener: &dyn Listener, stop: &CancellationToken) -> Outcome {
    let span = tracing::info_span!("change", subject = %change.subject, action = %change.action);
    let outcome = async {
        // Somebody may be restarting it.
        let _turn = match &change.subject {
            Subject::Server { id, .. } => Some(writer.servers.turn(*id).await),
            _ => None,
        };
        listener.hear(Event::Begun { subject: change.subject.clone(), action: change.action });
        let started = Instant::now();
        let mut made = Made::default();
        let mut done = 0;
        let mut result = Ended::Done;
        for step in &change.steps {
            if stop.is_cancelled() {
                result = Ended::Interrupted;
                break;
            }
            if let Err(error) = writer.perform(step, &mut made).await {
                result = failed(&error);
                break;
            }
            done += 1;
        }
        let millis = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        Outcome::of(change, result, millis, done)
    }
    .instrument(span.clone())
    .await;
    span.in_scope(|| match &outcome.result {
        Ended::Done => tracing::info!(millis = outcome.millis, "done"),
        Ended::Failed { error, .. } => tracing::warn!(millis = outcome.millis, %error, "failed"),
        Ended::Interrupted => tracing::info!(steps_done = outcome.steps_done, "interrupted"),
    });
    listener.hear(Event::Ended(outcome.clone()));
    outcome
}

fn failed(error: &StepError) -> Ended {
    Ended::Failed { error: chain(error), retry: error.retry() }
}
