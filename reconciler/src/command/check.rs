//! `berth check`: every mistake of a state repo or a folder, all at once.

use std::path::PathBuf;

use anyhow::Context as _;
use berth_repo::{Source as Kind, load_directory};
use berth_schema::report;

use super::{Exit, counted, show_findings};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::{FOLDER_REVISION, Found, Source};

/// What to check.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder (its files as they are) or a bare repository (its main branch). Default: --state
    path: Option<PathBuf>,
    /// Check this revision of the repository instead
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs, on standard output
    Json,
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let path = args.path.as_ref().unwrap_or(&settings.state);
    let found = find(path, args.at.as_deref())?;
    match args.format {
        Format::Json => print(
            &serde_json::to_string_pretty(&report::json(found.loaded.findings()))
                .context("write findings")?,
        ),
        Format::Text => show_findings(&found.loaded),
    }
    match &found.state {
        Err(_) => Ok(Exit::Failed),
        Ok(settled) => {
            let state = &settled.state;
            if args.format == Format::Text {
                let (users, servers, domains) = (
                    counted(state.users.len(), "user"),
                    counted(state.servers.len(), "server"),
                    counted(state.domains.len(), "domain"),
                );
                say(&format!("{}: good. {users}, {servers}, {domains}", path.display()));
            }
            Ok(Exit::Ok)
        }
    }
}

/// A checkout is checked as its files are, because that is what somebody is about to commit.
fn find(path: &std::path::Path, at: Option<&str>) -> anyhow::Result<Found> {
    let opened = || format!("check {}", path.display());
    match (Kind::of(path).with_context(opened)?, at) {
        (Kind::WorkTree { .. } | Kind::Directory, None) => {
            let loaded = load_directory(path).with_context(opened)?;
            Ok(Found::new(FOLDER_REVISION.to_owned(), loaded, None))
        }
        _ => Ok(Source::open(path)?.find(at)?),
    }
}
