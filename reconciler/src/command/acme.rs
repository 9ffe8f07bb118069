//! `berth acme`: keeps the account at the CA and the wildcard certificate of the platform's domain, in the foreground.

use anyhow::{Context as _, bail};
use berth_repo::StateRepo;
use berth_tasks::Tasks;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::Exit;
use crate::draw::say;
use crate::settings::Settings;
use crate::source;

/// Options of the keeper.
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
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    let Some(platform) = source::platform(&repo) else {
        bail!("cannot read platform.toml on main: `berth check` says why");
    };
    if !platform.acme.keeps_account() {
        say("platform.toml has neither [acme.eab] nor [acme.dns]: there is nothing to keep.");
        return Ok(Exit::Ok);
    }
    berth_acme::run(settings.acme(&platform), &tasks).await?;
    Ok(Exit::Ok)
}
