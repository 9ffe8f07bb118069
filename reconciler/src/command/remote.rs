//! `berth remote`: follows the forge that hosts the state repo, in the foreground.

use berth_forge::configured;
use berth_repo::StateRepo;

use super::Exit;
use super::following::Args;
use crate::settings::Settings;

pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<Exit> {
    let follower = &settings.follower();
    // Which forge it is, is the follower's own business.
    let read = |repo: &StateRepo| configured(repo).ok().map(|remote| remote.map(drop));
    let work = |tasks| async move { Ok(berth_forge::run(follower, &tasks).await?) };
    args.begin(settings)?.run(read, work).await
}
