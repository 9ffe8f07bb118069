//! `berth oidc`: reaches the OpenID provider for the door, in the foreground.

use anyhow::{Context as _, bail};
use berth_host::Owner;
use berth_repo::StateRepo;
use berth_tasks::Tasks;

use super::Exit;
use super::supervised::Supervised;
use crate::draw::say;
use crate::settings::Settings;
use crate::source;

/// Options of the process.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    supervised: Supervised,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    args.supervised.end_with_parent()?;
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    let Some(platform) = source::platform(&repo) else {
        bail!("cannot read platform.toml on main: `berth check` says why");
    };
    let Some(oidc) = platform.panel.as_ref().and_then(|panel| panel.oidc.clone()) else {
        say("platform.toml has no [panel.oidc]: there is no provider to reach.");
        return Ok(Exit::Ok);
    };
    let owner = Owner::of(repo.git_dir()).context("cannot tell whose the state repo is")?;
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    berth_oidc::run(settings.oidc(oidc, owner), &tasks).await?;
    Ok(Exit::Ok)
}
