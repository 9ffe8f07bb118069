//! `berth oidc`: reaches the OpenID provider for the door, in the foreground.

use anyhow::{Context as _, bail};
use berth_host::{Owner, service};
use berth_repo::StateRepo;
use berth_tasks::Tasks;

use super::Exit;
use super::following::{Following, follow};
use super::supervised::Supervised;
use super::up::oidc::read;
use crate::draw::say;
use crate::settings::Settings;
use crate::source;

/// Options of the process.
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
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    match args.following.follow {
        true => follow(&repo, read, &tasks, |part| keep(&repo, settings, part)).await?,
        false => keep(&repo, settings, tasks.clone()).await?,
    }
    tasks.end().await?;
    Ok(Exit::Ok)
}

async fn keep(repo: &StateRepo, settings: &Settings, tasks: Tasks) -> anyhow::Result<()> {
    let Some(platform) = source::platform(repo) else {
        bail!("cannot read platform.toml on main: `berth check` says why");
    };
    let Some(oidc) = platform.panel.as_ref().and_then(|panel| panel.oidc.clone()) else {
        say("platform.toml has no [panel.oidc]: there is no provider to reach.");
        return Ok(());
    };
    let owner = Owner::of(repo.git_dir()).context("cannot tell whose the state repo is")?;
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    Ok(berth_oidc::run(settings.oidc(oidc, owner), &tasks).await?)
}
