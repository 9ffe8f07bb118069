//! `berth remote`: follows the forge that hosts the state repo, in the foreground.

use anyhow::Context as _;

use super::Exit;
use crate::daemon::stop_on_signals;
use crate::remote;
use crate::settings::Settings;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let stop = stop_on_signals().context("listen to signals")?;
    remote::run(settings, &stop).await?;
    Ok(Exit::Ok)
}
