//! `berth acme`: keeps the account at the CA and the wildcard certificate of the platform's domain, in the foreground.

use berth_tasks::Tasks;

use super::Exit;
use super::following::{Args, platform};
use super::up::acme::read;
use crate::draw::say;
use crate::settings::Settings;

pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<Exit> {
    args.begin(settings)?.run(read, |tasks| keep(settings, tasks)).await
}

async fn keep(settings: &Settings, tasks: Tasks) -> anyhow::Result<()> {
    let platform = platform(settings)?;
    if !platform.acme.keeps_account() {
        say("platform.toml has neither [acme.eab] nor [acme.dns]: there is nothing to keep.");
        return Ok(());
    }
    Ok(berth_acme::run(settings.acme(&platform), &tasks).await?)
}
