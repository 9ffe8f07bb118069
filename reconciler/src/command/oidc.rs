//! `berth oidc`: reaches the OpenID provider for the door, in the foreground.

use anyhow::Context as _;
use berth_host::Owner;
use berth_repo::StateRepo;
use berth_tasks::Tasks;

use super::Exit;
use super::following::{Args, platform};
use super::up::oidc::read;
use crate::draw::say;
use crate::settings::Settings;

pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<Exit> {
    args.begin(settings)?.run(read, |tasks| keep(settings, tasks)).await
}

async fn keep(settings: &Settings, tasks: Tasks) -> anyhow::Result<()> {
    let platform = platform(settings)?;
    let Some(oidc) = platform.panel.as_ref().and_then(|panel| panel.oidc.clone()) else {
        say("platform.toml has no [panel.oidc]: there is no provider to reach.");
        return Ok(());
    };
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    let owner = Owner::of(repo.git_dir()).context("cannot tell whose the state repo is")?;
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    Ok(berth_oidc::run(settings.oidc(oidc, owner), &tasks).await?)
}
