//! `berth remote`: follows the forge that hosts the state repo, in the foreground.

use anyhow::Context as _;
use berth_forge::configured;
use berth_host::service;
use berth_repo::StateRepo;
use berth_tasks::Tasks;

use super::Exit;
use super::following::{Following, follow};
use super::supervised::Supervised;
use crate::settings::Settings;

/// Options of the follower.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    supervised: Supervised,
    #[command(flatten)]
    following: Following,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    args.supervised.end_with_parent()?;
    let follower = settings.follower();
    if !args.following.follow {
        berth_forge::run(&follower, &tasks).await?;
        return Ok(Exit::Ok);
    }
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    // Which forge it is, is the follower's own business.
    let read = |repo: &StateRepo| configured(repo).ok().map(|remote| remote.map(drop));
    follow(&repo, read, &tasks, |part| {
        let follower = &follower;
        async move { Ok(berth_forge::run(follower, &part).await?) }
    })
    .await?;
    tasks.end().await?;
    Ok(Exit::Ok)
}
