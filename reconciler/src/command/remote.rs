//! `berth remote`: follows the forge that hosts the state repo, in the foreground.

use anyhow::Context as _;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::Exit;
use crate::daemon::stop_on_signals;
use crate::remote;
use crate::settings::Settings;

/// How to run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End when the process that started this one does
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let stop = stop_on_signals().context("listen to signals")?;
    if args.with_parent {
        // A supervisor that was killed can't say so, and the next one's child would find this one in its place.
        set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    remote::run(settings, &stop).await?;
    Ok(Exit::Ok)
}
