//! `berth acme`: keeps the account at the CA and the wildcard certificate of the platform's domain, in the foreground.

use anyhow::{Context as _, bail};
use berth_host::service;
use berth_repo::StateRepo;
use berth_tasks::Tasks;

use super::Exit;
use super::following::{Following, follow};
use super::supervised::Supervised;
use super::up::acme::read;
use crate::draw::say;
use crate::settings::Settings;
use crate::source;

/// Options of the keeper.
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
    if !platform.acme.keeps_account() {
        say("platform.toml has neither [acme.eab] nor [acme.dns]: there is nothing to keep.");
        return Ok(());
    }
    Ok(berth_acme::run(settings.acme(&platform), &tasks).await?)
}
