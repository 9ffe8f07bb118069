//! `berth-ssh-router`: one SSH port for every server.
//!
//! The process reads a routes file and listens. It reaches no Docker and no state repo, and changes nothing.

mod admission;
mod algorithms;
mod decide;
mod end;
mod event;
mod git;
mod handler;
mod link;
mod listen;
mod loaded;
mod offer;
mod open;
mod password;
mod person;
mod pump;
mod queue;
mod rest;
mod roll;
mod router;
mod routes;
mod screen;
mod services;
mod session;
mod settings;
mod spill;
mod stream;
mod terminal;
mod ticket;
mod unjoined;
mod upstream;
mod words;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use berth_schema::Finding;
use berth_schema::text::{SafeLog, page};
use berth_supervise::{Rules, announce, renew};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::loaded::Loaded;
use crate::router::Router;
use crate::routes::{RoutesError, Table};
use crate::settings::{Invocation, Settings, Supervise, Task};

pub use settings::line;

/// Reads the command line and carries sessions, or does the task that it names.
pub fn main() -> ExitCode {
    let invocation = Invocation::parse();
    // The library's warnings are about peers, and peers could fill the log with them.
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info,russh=off"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| SafeLog(std::io::stderr()))
        .with_ansi(ansi)
        .init();
    let done = match invocation {
        Invocation::Serve(settings) => start(*settings),
        Invocation::Task(Task::Check { file }) => return check(&file),
        Invocation::Task(Task::Digest { file }) => digest(&file),
        Invocation::Task(Task::Supervise(settings)) => supervise(settings),
        Invocation::Task(Task::Renew { report, program }) => renew(&report, &program).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr takes nothing, the exit code is all that is left to tell.
            let _ = writeln!(std::io::stderr(), "error: {}", page(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Reads a routes file and the key that it names, as the router would.
fn check(file: &Path) -> ExitCode {
    let said = match Table::load(file) {
        Ok(_) => return ExitCode::SUCCESS,
        Err(RoutesError::Broken(findings)) => findings.iter().map(in_full).collect(),
        Err(error) => format!("error: {:#}\n", anyhow::Error::from(error)),
    };
    // If stderr takes nothing, the exit code still tells the result.
    let _ = std::io::stderr().write_all(page(&said).as_bytes());
    ExitCode::FAILURE
}

fn in_full(finding: &Finding) -> String {
    let hint = finding.hint.iter().map(|hint| format!("  hint: {hint}\n"));
    format!("{finding}\n{}", hint.collect::<String>())
}

fn digest(file: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    writeln!(std::io::stdout(), "{}", blake3::hash(&bytes))?;
    Ok(())
}

fn start(settings: Settings) -> anyhow::Result<()> {
    // At least two: overflow may block one thread on the disk, and another must be left for everybody else.
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(run(settings))
}

fn supervise(settings: Supervise) -> anyhow::Result<()> {
    let Supervise { listen, flags_file, report, flags } = settings;
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let socket = listen::bind(listen).context("cannot listen on the port")?.into();
    let rules = Rules { what: "router", socket, program, flags, flags_file, report };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(berth_supervise::run(rules))?;
    Ok(())
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let host_key = russh::keys::load_secret_key(&settings.host_key, None).with_context(|| {
        let path = settings.host_key.display();
        format!("cannot read the host key (`ssh-keygen -t ed25519 -N '' -f {path}` makes one)")
    })?;
    allow_descriptors();
    let loaded = Arc::new(Loaded::new(settings.loaded.clone()));
    let table = routes::follow(settings.routes.clone(), Arc::clone(&loaded))?;
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut term_again, mut interrupt_again) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = listen::open(settings.listen).context("cannot listen on the port")?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    if settings.ready {
        announce()?;
    }
    let stop = async {
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        loaded.retire();
    };
    let abort = async {
        // The first signal is the one that asked to stop.
        for _ in 0..2 {
            tokio::select! { _ = term_again.recv() => {}, _ = interrupt_again.recv() => {} }
        }
    };
    Arc::new(Router::new(settings, &host_key, table)).run(listener, stop, abort).await;
    Ok(())
}

/// Raises the limit of open files. A session takes two descriptors or more, so the usual soft limit would end at five
/// hundred sessions.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
