//! `berth metrics`: answers scrapers where `platform.toml` says, in the foreground.

use anyhow::Context as _;
use berth_host::service;
use berth_metrics::ScrapeSettings;
use berth_tasks::Tasks;
use berth_wire::scrape::METRICS_SOCKET;

use super::Exit;
use super::supervised::Supervised;
use crate::settings::Settings;

/// Process that answers scrapers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    supervised: Supervised,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    args.supervised.end_with_parent()?;
    // The socket is all that it knows of the platform: it reads neither the state repo nor Berth's own folder.
    let socket = settings.metrics_folder().join(METRICS_SOCKET);
    berth_metrics::run(ScrapeSettings::of(socket), &tasks).await?;
    Ok(Exit::Ok)
}
