//! `berth apply`: one pass, now. By the daemon when one runs, else by this process.

use tokio_util::sync::CancellationToken;

use super::{Exit, counted};
use crate::client::Daemon;
use crate::draw::{Draw, say};
use crate::journal::PassRecord;
use crate::pass::Reconciler;
use crate::settings::Settings;

/// How to apply.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Don't show the plan first
    #[arg(long)]
    quiet: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let draw = Draw::new(!args.quiet);
    let record = match Daemon::find(&settings.socket()).await? {
        Some(mut daemon) => daemon.sync(&draw).await?,
        None => {
            let stop = CancellationToken::new();
            let interrupt = stop.clone();
            tokio::spawn(async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    say("asked to end; the steps in hand are finished first");
                    interrupt.cancel();
                }
            });
            Reconciler::open(settings).await?.pass("berth apply", &draw, &stop).await
        }
    };
    tell(&record);
    Ok(if record.is_clean() { Exit::Ok } else { Exit::Failed })
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
pub(super) fn short(revision: &str) -> &str {
    revision.get(..10).unwrap_or(revision)
}
