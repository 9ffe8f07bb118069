//! `berth check`: every mistake of a state repo or a folder, all at once.

use std::path::PathBuf;

use anyhow::Context as _;
use berth_repo::{BadName, Source as Kind, bad_names_below, load_directory};
use berth_schema::brief::Extent;
use berth_schema::policy::without_admins;
use berth_schema::text::{self, counted};
use berth_schema::{Finding, Origin, Severity, report};

use super::{BRIEF, Exit, show_these};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::{Found, Source};

/// Subject and form of the check.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder, whose files are checked as they are, or a bare repository. Default: --state
    path: Option<PathBuf>,
    /// Check this revision of the repository. Default: the tip of main
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Show every mistake, however many are alike
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Text for people
    Text,
    /// JSON for programs, on standard output
    Json,
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let path = args.path.as_ref().unwrap_or(&settings.state);
    let (found, names) = find(path, args.at.as_deref())?;
    let mut findings = found.loaded.findings().to_vec();
    // What is there stays; a push brings in no more of them.
    findings
        .extend(names.into_iter().map(|name| Finding::new(Severity::Warning, name.path, None, name.invalid)));
    if let Ok(settled) = &found.state {
        findings.extend(without_admins(None, &settled.state));
    }
    findings.sort();
    let extent = if args.all { Extent::Whole } else { BRIEF };
    match args.format {
        Format::Json => {
            print(&text::json(&report::json(&findings)).context("cannot write findings")?);
        }
        Format::Text => show_these(&findings, &found.loaded, extent),
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

/// Finds the state to check, and the names of files that not every system can hold. A checkout is checked as its files are, because
/// that is what somebody is about to commit.
fn find(path: &std::path::Path, at: Option<&str>) -> anyhow::Result<(Found, Vec<BadName>)> {
    let opened = || format!("cannot check {}", path.display());
    match (Kind::of(path).with_context(opened)?, at) {
        (Kind::WorkTree { .. } | Kind::Directory, None) => {
            let loaded = load_directory(path).with_context(opened)?;
            let names = bad_names_below(path).with_context(opened)?;
            Ok((Found::new(Origin::Folder, loaded, None), names))
        }
        _ => {
            let mut source = Source::open(path)?;
            let found = source.find(at)?;
            let names = source.bad_names(found.revision)?;
            Ok((found, names))
        }
    }
}
