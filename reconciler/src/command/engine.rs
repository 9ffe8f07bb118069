//! `berth engine`: placeholder until the module lands.
use super::Exit;
use crate::settings::Settings;
/// x
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) async fn run(_args: &Args, _settings: &Settings) -> anyhow::Result<Exit> {
    Ok(Exit::Ok)
}
