//! `berth log`: who changed what, why, and whether it worked.

use anyhow::Context as _;
use berth_repo::StateRepo;
use comfy_table::{Table, presets};

use super::Exit;
use crate::draw::{print, say};
use crate::log::{Entry, entries};
use crate::settings::Settings;

/// How much to show, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many revisions, the youngest first
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    number: usize,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let repo = StateRepo::open(&settings.state)?;
    let found = entries(&repo, args.number)?;
    if args.json {
        print(&serde_json::to_string_pretty(&found).context("write the log")?);
        return Ok(Exit::Ok);
    }
    if found.is_empty() {
        say("There is no commit on main yet.");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["REVISION", "WHEN", "WHO", "WHAT WAS DONE", "RESULT", "WHY"]);
    for entry in &found {
        table.add_row([
            entry.revision.short(),
            entry.at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M").to_string()),
            who(entry),
            entry.what(),
            entry.how(),
            plain(&entry.why),
        ]);
    }
    print(&table.trim_fmt());
    Ok(Exit::Ok)
}

/// "bob", or "bob, agreed by ann".
fn who(entry: &Entry) -> String {
    let reviewer = entry.reviewed_by.as_deref();
    let reviewer = reviewer.map(|reviewer| reviewer.split(" <").next().unwrap_or(reviewer));
    plain(&reviewer.map_or_else(|| entry.who.clone(), |name| format!("{}, agreed by {name}", entry.who)))
}

/// What people wrote into a commit, without anything that a terminal obeys.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
