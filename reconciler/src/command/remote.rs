//! `berth remote`: follows the forge that hosts the state repo, in the foreground.

use anyhow::Context as _;
use berth_tasks::Tasks;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::Exit;
use crate::settings::Settings;

/// Options of the follower.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End when the process that started this one does
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    if args.with_parent {
        // A supervisor that was killed can't say so, and the next one's child would find this one in its place.
        set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    berth_forge::run(&settings.follower(), &tasks).await?;
    Ok(Exit::Ok)
}
