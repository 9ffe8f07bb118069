//! `berth panel`: keeps `berth-web` running for as long as `platform.toml` has `[panel]`, in the foreground.

use anyhow::Context as _;
use berth_host::service;
use berth_tasks::Tasks;

use super::{Exit, up};
use crate::settings::Settings;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    let program = std::env::current_exe().context("cannot find our own program")?;
    up::panel::keep(program, settings.clone(), tasks.stop().clone(), tasks.pulse()).await;
    tasks.end().await?;
    Ok(Exit::Ok)
}
