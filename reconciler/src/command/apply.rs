//! `berth apply`: one pass, now. By the daemon when one runs, else by this process.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Exit, counted};
use crate::client::Daemon;
use crate::draw::{Draw, say};
use crate::journal::{JournalError, PassRecord};
use crate::pass::{PassError, Reconciler};
use crate::settings::Settings;

/// How long a daemon that holds the journal has until it answers.
const COME_UP: Duration = Duration::from_secs(5);

/// How to apply.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Don't show the plan first
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

/// Who does the pass.
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

/// What a pass came to, in a few lines.
pub(super) fn tell(record: &PassRecord) {
    for problem in &record.problems {
        say(&format!("  {problem}"));
    }
    let done = record.outcomes.iter().filter(|outcome| outcome.is_done()).count();
    let failed = record.outcomes.len() - done;
    let tip = short(&record.attempted);
    let Some(revision) = &record.revision else {
        say("Nothing was done.");
        return;
    };
    let good = short(revision);
    let (changes, problems) = (counted(done, "change"), record.problems.len());
    say(&match (record.outcomes.len(), failed, problems) {
        _ if good != tip => format!(
            "{tip} is not applied: {} (above). At {good}, the last good revision: {changes} done, {failed} failed.",
            counted(problems, "mistake")
        ),
        (0, _, 0) => format!("Nothing to do: the engine agrees with {good}."),
        (_, 0, 0) => format!("Applied {good}: {changes}."),
        _ => format!(
            "{good} is not wholly applied: {changes} done, {failed} failed, {problems} to look at (above)."
        ),
    });
}

/// The beginning of a revision, as people write it.
pub(crate) fn short(revision: &str) -> &str {
    revision.get(..10).unwrap_or(revision)
}
