//! `berth restore`: data of a server from a backup, beside its own or in its place.

use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_backup::{RESTORED, Request, Restored, ServerPath, Way};
use berth_tasks::Tasks;
use jiff::Timestamp;

use super::Exit;
use super::backup::asked::{server_of, wanted};
use crate::draw::{print, say};
use crate::settings::Settings;

/// Data to restore, and its place.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The server's name, or server<id>
    #[arg(value_name = "SERVER")]
    server: String,
    /// The time whose data is wanted, such as 2026-12-01T03:00Z: of the copies from then or before, the newest
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// One file or folder, as the server sees it, below /apps, /home or /var/lib/docker
    #[arg(long, value_name = "PATH")]
    path: Option<ServerPath>,
    /// Put it in the place of the server's present data, which is moved aside; the server is stopped meanwhile
    #[arg(long)]
    over: bool,
    /// Remove what was restored beside the server's data before, and restore nothing
    #[arg(long, conflicts_with_all = ["at", "path", "over"])]
    clear: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let (wanted, state) = wanted(settings)?;
    let server = server_of(&state, &args.server)?;
    if args.clear {
        let removed = berth_backup::expire(wanted.means(), Some(server), Duration::ZERO).await?;
        say(&format!("{} removed.", berth_schema::text::counted(removed, "restored folder")));
        return Ok(Exit::Ok);
    }
    let way = if args.over { Way::Over } else { Way::Beside };
    if args.over && !state.servers.contains_key(&server) {
        bail!(
            "server{server} isn't in the state repo: put its file back first, and it comes back with its data"
        );
    }
    let request = Request { server, at: args.at, path: args.path.clone(), way };
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    let wanted = wanted.until(tasks.stop().clone()).context("cannot begin")?;
    let kept = wanted.restored;
    let Restored { from, beside, replaced } = berth_backup::restore(wanted.means(), request).await?;
    let until = Timestamp::now().saturating_add(jiff::SignedDuration::try_from(kept)?)?;
    let until = until.strftime("%Y-%m-%d");
    say(&format!("Restored from the copy of {}.", from.strftime("%Y-%m-%d %H:%M:%S UTC")));
    if let Some(beside) = beside {
        say(&format!("It is in the server until {until}:"));
        print(&beside);
    }
    if let Some(replaced) = replaced {
        match replaced.starts_with(RESTORED) {
            true => say(&format!("What was there before is kept until {until}, and then LOST:")),
            false => say("What was there before is kept on the host; remove it there once nobody needs it:"),
        }
        print(&replaced);
    }
    Ok(Exit::Ok)
}
