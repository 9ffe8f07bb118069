//! `berth backup`: copies of the platform and of every server, by restic.

pub(super) mod asked;
mod keep;
mod orders;
mod tell;
mod trouble;

use anyhow::Context as _;
use berth_backup::Runs;
use berth_schema::text::json;
use berth_tasks::Tasks;
use clap::Subcommand;

use self::asked::{server_of, wanted};
pub(super) use self::tell::{drilled, told};
use super::Exit;
use super::supervised::Supervised;
use crate::backups::Wanted;
use crate::draw::{print, say};
use crate::settings::Settings;

/// Act on backups.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Back up now: the platform and every server, or one server. Exit code 1 if anything failed
    Run {
        /// The server's name, or server<id>
        #[arg(value_name = "SERVER")]
        server: Option<String>,
    },
    /// List the copies in the repository
    List {
        /// The server's name, or server<id>
        #[arg(value_name = "SERVER")]
        server: Option<String>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Check that the repository is whole, and that a share of its data can be read
    Check {
        /// Share of the data to read, in percent
        #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=100))]
        read: u8,
    },
    /// Try a copy now: restore a server beside the others, read it back, start it, and remove it again. Exit code 1 if it fails
    Drill {
        /// The server's name, or server<id>; without one, a server by chance
        #[arg(value_name = "SERVER")]
        server: Option<String>,
    },
    /// Back up at the times of `backup.at`, until SIGTERM: run by `berth up`, or its unit
    Keep {
        #[command(flatten)]
        supervised: Supervised,
    },
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match &args.act {
        Act::Run { server } => now(server.as_deref(), settings).await,
        Act::List { server, json } => list(server.as_deref(), *json, settings),
        Act::Check { read } => {
            let Wanted { vault, .. } = wanted(settings)?.0;
            let said = tokio::task::block_in_place(|| vault.check(*read))?;
            print(said.trim());
            Ok(Exit::Ok)
        }
        Act::Drill { server } => drill(server.as_deref(), settings).await,
        Act::Keep { supervised } => {
            supervised.end_with_parent()?;
            keep::keep(settings).await
        }
    }
}

async fn now(server: Option<&str>, settings: &Settings) -> anyhow::Result<Exit> {
    let (wanted, state) = wanted(settings)?;
    let only = server.map(|name| server_of(&state, name)).transpose()?;
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    let wanted = wanted.until(tasks.stop().clone()).context("cannot begin")?;
    let record = berth_backup::run(wanted.means(), wanted.jobs, only, tell::draw()).await?;
    trouble::tell(&settings.data, &record);
    tell::told(&record).iter().for_each(|line| say(line));
    Ok(if record.is_clean() { Exit::Ok } else { Exit::Failed })
}

async fn drill(server: Option<&str>, settings: &Settings) -> anyhow::Result<Exit> {
    let (wanted, state) = wanted(settings)?;
    let only = server.map(|name| server_of(&state, name)).transpose()?;
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    let wanted = wanted.until(tasks.stop().clone()).context("cannot begin")?;
    let record = berth_backup::drill(wanted.means(), wanted.jobs, only).await?;
    trouble::tell_drilled(&settings.data, &record);
    say(&tell::drilled(&record));
    Ok(if record.is_passed() { Exit::Ok } else { Exit::Failed })
}

fn list(server: Option<&str>, as_json: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let (Wanted { vault, folder, .. }, state) = wanted(settings)?;
    let only = server.map(|name| server_of(&state, name)).transpose()?;
    let found = tokio::task::block_in_place(|| vault.snapshots(None))?;
    let rows = tell::rows(&found, &state, only);
    if as_json {
        print(&json(&rows).context("cannot write the list")?);
        return Ok(Exit::Ok);
    }
    if rows.is_empty() {
        say("There is no copy yet: `berth backup run` makes the first.");
    } else {
        print(&tell::table(&rows));
    }
    let last = Runs::of(&folder).all().context("cannot read the records of runs")?;
    if let Some(last) = last.last().filter(|record| !record.is_clean()) {
        tell::told(last).iter().for_each(|line| say(line));
    }
    Ok(Exit::Ok)
}
