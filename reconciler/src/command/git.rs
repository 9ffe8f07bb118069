//! `berth git`: the door, in the foreground. The SSH router is the only client of its git socket, and the panel of the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_count::{COUNTS_FILE, Left};
use berth_door::web::{Clock, Panel, PanelDoor};
use berth_door::{Door, Limits};
use berth_fault::chain;
use berth_host::service;
use berth_plan::system::gate;
use berth_schema::door;
use berth_tasks::Tasks;

use super::Exit;
use super::supervised::Supervised;
use crate::settings::Settings;

/// Folder of the doors of all platforms on this machine.
const DOORS: &str = "/run/berth/doors";

/// Place to listen at, and limits of commands.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "git-door")]
pub(super) struct Args {
    /// The folder of the socket `git.sock`, which the router's container sees too. Default: /run/berth/doors/<prefix>
    #[arg(long, env = "BERTH_GIT_SOCKET_DIR", value_name = "FOLDER")]
    socket_dir: Option<PathBuf>,
    /// The folder of the socket `gate.sock`, which the web server's container sees too. Default: /run/berth/gates/<prefix>
    #[arg(long, env = "BERTH_GATE_FOLDER", value_name = "FOLDER")]
    gate_folder: Option<PathBuf>,
    /// The most commands that run at once
    #[arg(long, env = "BERTH_GIT_COMMANDS", value_name = "NUMBER", default_value_t = door::COMMANDS)]
    git_commands: usize,
    /// The most commands that run at once for one user
    #[arg(long, env = "BERTH_GIT_COMMANDS_EACH", value_name = "NUMBER", default_value_t = door::COMMANDS_EACH)]
    git_commands_each: usize,
    /// Seconds without a byte in either direction after which a command is ended
    #[arg(long, env = "BERTH_GIT_IDLE", value_name = "SECONDS", default_value_t = 120)]
    git_idle: u64,
    /// Seconds after which a command is ended in any case
    #[arg(long, env = "BERTH_GIT_LONGEST", value_name = "SECONDS", default_value_t = 900)]
    git_longest: u64,
    #[command(flatten)]
    supervised: Supervised,
}

impl Args {
    /// Returns the arguments for a child that runs the door.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let numbers: [(&str, String); 4] = [
            ("--git-commands", self.git_commands.to_string()),
            ("--git-commands-each", self.git_commands_each.to_string()),
            ("--git-idle", self.git_idle.to_string()),
            ("--git-longest", self.git_longest.to_string()),
        ];
        let numbers = numbers.into_iter().flat_map(|(name, value)| [name.into(), value.into()]);
        let folder = self.socket_dir.iter().flat_map(|folder| ["--socket-dir".into(), folder.into()]);
        let gate = self.gate_folder.iter().flat_map(|folder| ["--gate-folder".into(), folder.into()]);
        numbers.chain(folder).chain(gate).collect()
    }
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    args.supervised.end_with_parent()?;
    let limits = Limits {
        commands: args.git_commands,
        commands_each: args.git_commands_each,
        idle: Duration::from_secs(args.git_idle),
        whole: Duration::from_secs(args.git_longest),
    };
    let door = Arc::new(Door::new(&settings.door(), limits)?);
    let folder = match &args.socket_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => Path::new(DOORS).join(door.prefix()?.as_str()),
    };
    let panel = match open_panel_door(&door, settings) {
        Ok(mut opened) => {
            if let Err(error) = open_gate(&mut opened, args, &door) {
                tracing::error!(
                    error = chain(error.as_ref()),
                    "nobody can be let into sites that aren't for everybody; the panel and git go on without it"
                );
            }
            let panel = opened.panel();
            opened.keep(&tasks);
            Some(panel)
        }
        // Nobody's push waits for the panel.
        Err(error) => {
            tracing::error!(
                error = chain(error.as_ref()),
                "the panel can't sign anybody in; git goes on without it"
            );
            None
        }
    };
    let counts = settings.data.join(berth_door::FOLDER).join(COUNTS_FILE);
    tasks.keep("the counts", berth_count::keep(Left::at(counts)));
    berth_door::serve(door, panel, &folder, &tasks).await?;
    Ok(Exit::Ok)
}

fn open_panel_door(door: &Arc<Door>, settings: &Settings) -> anyhow::Result<PanelDoor> {
    let folder = std::path::absolute(settings.panel(&door.prefix()?))?;
    Ok(PanelDoor::open(Panel::new(Arc::clone(door), Clock::system())?, &folder)?)
}

fn open_gate(panel: &mut PanelDoor, args: &Args, door: &Door) -> anyhow::Result<()> {
    let folder = match &args.gate_folder {
        Some(folder) => std::path::absolute(folder)?,
        None => gate(&door.prefix()?).into(),
    };
    Ok(panel.open_gate(&folder)?)
}
