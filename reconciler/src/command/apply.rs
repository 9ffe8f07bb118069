//! `berth apply`: one pass, now. By the daemon when one runs, else by this process.

use std::time::{Duration, Instant};

use berth_schema::text::{counted, safe_line};
use berth_wire::PassRecord;
use berth_wire::client::Daemon;
use tokio_util::sync::CancellationToken;

use super::Exit;
use crate::draw::{Draw, say};
use crate::journal::JournalError;
use crate::pass::{PassError, Reconciler};
use crate::settings::Settings;

/// Time for a daemon that holds the journal to answer.
const COME_UP: Duration = Duration::from_secs(5);
/// Characters of a problem that are shown.
const PROBLEM: usize = 2000;

/// Options of the pass.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Don't show the plan
    #[arg(long)]
    quiet: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let draw = Draw::new(!args.quiet);
    let record = match open(settings).await? {
        Worker::Daemon(mut daemon) => daemon.sync(&draw).await?,
        Worker::Ourselves(mut reconciler) => {
            let stop = CancellationToken::new();
            let interrupt = stop.clone();
            tokio::spawn(async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    say("asked to end; the steps in hand are finished first");
                    interrupt.cancel();
                }
            });
            reconciler.pass("berth apply", &draw, &stop).await
        }
    };
    tell(&record);
    Ok(if record.is_clean() { Exit::Ok } else { Exit::Failed })
}

/// Process that does the pass.
enum Worker {
    Daemon(Daemon),
    Ourselves(Box<Reconciler>),
}

/// The daemon where one runs, else a reconciler of our own. A daemon that is just starting holds the journal before it
/// answers; it is waited for.
async fn open(settings: &Settings) -> anyhow::Result<Worker> {
    let deadline = Instant::now() + COME_UP;
    loop {
        if let Some(daemon) = Daemon::find(&settings.socket()).await? {
            return Ok(Worker::Daemon(daemon));
        }
        match Reconciler::open(settings).await {
            Ok(reconciler) => return Ok(Worker::Ourselves(Box::new(reconciler))),
            Err(PassError::Journal(JournalError::InUse { .. })) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells the outcome of a pass in a few lines.
pub(super) fn tell(record: &PassRecord) {
    told(record).iter().for_each(|line| say(line));
}

fn told(record: &PassRecord) -> Vec<String> {
    let problems = record.problems.iter().map(|problem| format!("  {}", safe_line(problem, PROBLEM)));
    problems.chain([ending(record)]).collect()
}

fn ending(record: &PassRecord) -> String {
    let done = record.outcomes.iter().filter(|outcome| outcome.is_done()).count();
    let failed = record.outcomes.len() - done;
    let (Some(tip), Some(revision)) = (record.attempted, record.revision) else {
        return "Nothing was done.".to_owned();
    };
    let (tip, good, is_good) = (tip.short(), revision.short(), tip == revision);
    let (changes, problems) = (counted(done, "change"), record.problems.len());
    match (record.outcomes.len(), failed, problems) {
        _ if !is_good => format!(
            "{tip} is not applied: {} (above). At {good}, the last good revision: {changes} done, {failed} failed.",
            counted(problems, "mistake")
        ),
        (0, _, 0) => format!("Nothing to do: the engine agrees with {good}."),
        (_, 0, 0) => format!("Applied {good}: {changes}."),
        _ => format!(
            "{good} is not wholly applied: {changes} done, {failed} failed, {problems} to look at (above)."
        ),
    }
}

#[cfg(test)]
mod tests {
    use berth_schema::testing::{harm, hostile_text};
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_problem_of_a_pass_harms_its_reader(typed in hostile_text()) {
            let record = PassRecord {
                at: Timestamp::UNIX_EPOCH,
                attempted: None,
                revision: None,
                reason: typed.clone(),
                outcomes: Vec::new(),
                problems: vec![typed],
                retry_millis: None,
            };
            for line in told(&record) {
                prop_assert_eq!(harm(&line), None, "{}", line);
                prop_assert!(!line.contains('\n'), "{line}");
            }
        }
    }
}
