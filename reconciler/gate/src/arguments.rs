//! Command line of `berth-gate`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Returns the command line as clap knows it, for whoever describes it to people.
pub fn line() -> clap::Command {
    Args::command()
}

/// Lets into guarded sites whoever has a grant of the door's, and carries their requests to the app. The web server's container
/// runs it.
#[derive(Debug, Parser)]
#[command(
    name = "berth-gate",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Args {
    /// The socket for the edge, or `stdin` for a listening socket handed over as standard input
    #[arg(long, value_name = "SOCKET", required = true)]
    pub listen: Option<PathBuf>,
    /// The folder in which the door tells its key and what has ended, and answers
    #[arg(long, value_name = "FOLDER", required = true)]
    pub door: Option<PathBuf>,
    /// Says `ready` once the gate listens, and finishes as after SIGTERM when its parent is gone
    #[arg(long)]
    pub ready: bool,
    /// Time for which what visitors have open may go on after SIGTERM. A second signal ends it at once
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = humantime::parse_duration)]
    pub finish: Duration,
    /// Level of the log: error, warn, info, debug
    #[arg(long, env = "BERTH_LOG", value_name = "FILTER", default_value = "info", global = true)]
    pub log: String,
    /// Task other than letting people in
    #[command(subcommand)]
    pub task: Option<Task>,
}

/// Tasks other than letting people in.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Keeps the socket and a gate on it, so that a new gate takes over and what visitors have open goes on
    ///
    /// SIGHUP starts a new gate on the same socket, from the program as it is now. Once the new one listens, the old one gets
    /// SIGTERM and lets what is open finish. If the new one never listens, the old one goes on.
    Supervise {
        /// The socket for the edge
        #[arg(long, value_name = "SOCKET")]
        listen: PathBuf,
        /// File in which to report what came of each start of a gate
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Flags for the gate
        #[arg(last = true, value_name = "FLAG")]
        flags: Vec<OsString>,
    },
    /// Has a supervisor start its program once more, and waits until that one serves
    Renew {
        /// File in which the supervisor reports
        #[arg(long, value_name = "FILE")]
        report: PathBuf,
        /// Program that has to serve, where the supervisor looks for it
        #[arg(long, value_name = "FILE")]
        program: PathBuf,
    },
}
