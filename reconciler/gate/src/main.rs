//! `berth-gate`: runs in the web server's container, beside the edge.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use berth_fault::chain;
use berth_gate::arguments::{Args, Task};
use berth_gate::{Finish, bind, serve};
use berth_schema::text::SafeLog;
use berth_supervise::{Rules, announce, renew, take_stdin};
use berth_tasks::Tasks;
use clap::Parser as _;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Place to listen that is a socket handed over as standard input.
const STDIN: &str = "stdin";

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| SafeLog(io::stderr()))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    umask(Mode::RWXG | Mode::RWXO);
    let done = match args.task {
        None => begin(&args),
        Some(Task::Supervise { listen, report, flags }) => supervise(&listen, report, flags),
        Some(Task::Renew { report, program }) => renew(&report, &program).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn begin(args: &Args) -> anyhow::Result<()> {
    let (Some(listen), Some(door)) = (&args.listen, &args.door) else {
        bail!("where to listen, or where the door is, is missing");
    };
    // Two connections for each visitor who has something open.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open connections stays low");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
        let now = CancellationToken::new();
        let finish = Finish { longest: args.finish, now: now.clone() };
        tokio::spawn(async move {
            // The first signal is the one that asked to end.
            for _ in 0..2 {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            }
            now.cancel();
        });
        let listener = match listen.as_os_str() == STDIN {
            true => take_stdin().context("cannot take the socket from standard input")?.into(),
            false => bind(listen)?,
        };
        let ready = || if args.ready { announce() } else { Ok(()) };
        Ok(serve(listener, door, finish, &tasks, ready).await?)
    })
}

fn supervise(listen: &Path, report: Option<PathBuf>, flags: Vec<OsString>) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let socket = bind(listen)?.into();
    let rules = Rules { what: "gate", socket, program, flags, flags_file: None, report };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the async runtime")?.block_on(berth_supervise::run(rules))?;
    Ok(())
}
