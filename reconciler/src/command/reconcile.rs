//! `berth reconcile`: the daemon, in the foreground.

use super::Exit;
use crate::daemon;
use crate::settings::Settings;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<Exit> {
    daemon::run(settings).await?;
    Ok(Exit::Ok)
}
