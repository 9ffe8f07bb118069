//! `berth git`: the git door, in the foreground. The SSH router is its only client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use berth_schema::door;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::Exit;
use crate::daemon::stop_on_signals;
use crate::door::{Door, Limits};
use crate::settings::Settings;

/// Where the doors of the platforms of this machine are.
const DOORS: &str = "/run/berth/doors";

/// Where to listen, and what commands may take.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "git-door")]
pub(super) struct Args {
    /// The folder of the socket `git.sock`, which the router's container sees too. Default: /run/berth/doors/<prefix>
    #[arg(long, env = "BERTH_GIT_SOCKET_DIR", value_name = "FOLDER")]
    socket_dir: Option<PathBuf>,
    /// Commands at once
    #[arg(long, env = "BERTH_GIT_COMMANDS", value_name = "NUMBER", default_value_t = door::COMMANDS)]
    git_commands: usize,
    /// Commands at once of one user
    #[arg(long, env = "BERTH_GIT_COMMANDS_EACH", value_name = "NUMBER", default_value_t = door::COMMANDS_EACH)]
    git_commands_each: usize,
    /// Seconds without a byte in either direction after which a command is ended
    #[arg(long, env = "BERTH_GIT_IDLE", value_name = "SECONDS", default_value_t = 120)]
    git_idle: u64,
    /// Seconds after which a command is ended in any case
    #[arg(long, env = "BERTH_GIT_LONGEST", value_name = "SECONDS", default_value_t = 900)]
    git_longest: u64,
    /// End when the process that started this one does
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Args {
    /// As they are handed to a child that runs the door.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let numbers: [(&str, String); 4] = [
            ("--git-commands", self.git_commands.to_string()),
            ("--git-commands-each", self.git_commands_each.to_string()),
            ("--git-idle", self.git_idle.to_string()),
            ("--git-longest", self.git_longest.to_string()),
        ];
        let numbers = numbers.into_iter().flat_map(|(name, value)| [name.into(), value.into()]);
        let folder = self.socket_dir.iter().flat_map(|folder| ["--socket-dir".into(), folder.into()]);
        numbers.chain(folder).collect()
    }
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let stop = stop_on_signals().context("listen to signals")?;
    if args.with_parent {
        // A supervisor that was killed can't say so, and the next one's door would find this one in its place.
        set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    let limits = Limits {
        commands: args.git_commands,
        commands_each: args.git_commands_each,
        idle: Duration::from_secs(args.git_idle),
        whole: Duration::from_secs(args.git_longest),
    };
    let door = Door::new(settings, limits)?;
    let folder = match &args.socket_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => Path::new(DOORS).join(door.prefix()?.as_str()),
    };
    door.serve(&folder, stop).await?;
    Ok(Exit::Ok)
}
