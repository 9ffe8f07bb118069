//! `berth render`: a configuration as it would be written, without writing it.

use berth_engine::Identity;
use berth_plan::render::{Kind, render, routes};

use super::{Exit, show_findings};
use crate::draw::print;
use crate::settings::Settings;
use crate::source::Source;

/// Configuration to print.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kind of configuration
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)))]
    kind: String,
    /// Render this revision. Default: the tip of main
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
    /// Show the password hashes in `routes`: whoever reads one can try to guess the password
    #[arg(long)]
    secrets: bool,
}

/// Text in place of a password hash. It is no hash, so that no router takes it for one.
const HIDDEN: &str = "hidden; `--secrets` shows it";

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let kind: Kind = args.kind.parse().map_err(anyhow::Error::msg)?;
    let mut source = Source::open(&settings.state)?;
    let found = source.find(args.at.as_deref())?;
    show_findings(&found.loaded);
    let Ok(settled) = found.state else { return Ok(Exit::Failed) };
    let identities = Identity::shown(&settings.data, settled.state.servers.keys().copied())?;
    print(&match kind {
        Kind::Routes if !args.secrets => {
            routes::text(&routes::routes(&settled.state, &identities)?.without_hashes(HIDDEN))?
        }
        _ => render(kind, &settled.state, &settings.configuration_templates()?, &identities)?,
    });
    Ok(Exit::Ok)
}
