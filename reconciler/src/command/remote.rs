//! `berth remote`: follows the forge that hosts the state repo, in the foreground.

use anyhow::Context as _;
use berth_tasks::Tasks;

use super::Exit;
use super::supervised::Supervised;
use crate::settings::Settings;

/// Options of the follower.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    supervised: Supervised,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    args.supervised.end_with_parent()?;
    berth_forge::run(&settings.follower(), &tasks).await?;
    Ok(Exit::Ok)
}
