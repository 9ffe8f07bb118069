//! `berth reconcile`: the daemon, in the foreground.

use anyhow::Context as _;
use berth_host::service;
use berth_tasks::Tasks;

use super::Exit;
use crate::daemon;
use crate::settings::Settings;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    daemon::run(settings, &tasks).await?;
    Ok(Exit::Ok)
}
