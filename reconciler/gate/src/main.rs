//! `berth-gate`: runs in the web server's container, beside the edge.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use berth_fault::chain;
use berth_gate::serve;
use berth_schema::text::SafeLog;
use berth_tasks::Tasks;
use clap::Parser;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use tracing_subscriber::EnvFilter;

/// Lets into guarded sites whoever has a grant of the door's, and carries their requests to the app. The web server's container
/// runs it.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The socket for the edge
    #[arg(long, value_name = "SOCKET")]
    listen: PathBuf,
    /// The folder in which the door tells its key and what has ended, and answers
    #[arg(long, value_name = "FOLDER")]
    door: PathBuf,
    /// Level of the log: error, warn, info, debug
    #[arg(long, env = "BERTH_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| SafeLog(io::stderr()))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    match begin(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn begin(args: &Args) -> anyhow::Result<()> {
    umask(Mode::RWXG | Mode::RWXO);
    // Two connections for each visitor who has something open.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open connections stays low");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    runtime.block_on(async {
        let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
        Ok(serve(&args.listen, &args.door, &tasks).await?)
    })
}
