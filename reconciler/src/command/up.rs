//! `berth up`: starts the platform's processes and keeps them running, for a single machine.
//!
//! That is the reconciler, and `berth remote` where a forge hosts the state repo. They run as children, so that a crash is a
//! restart and not an outage.

mod remote;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::apply::tell;
use crate::client::Daemon;
use crate::draw::{Draw, say};
use crate::settings::Settings;

/// How to start.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Start in the background, and return when the state repo is applied
    #[arg(long)]
    detach: bool,
}

/// A child that ended sooner than this, without any before it having come up, can't begin at all.
const COMING_UP: Duration = Duration::from_secs(5);
/// A child that lived this long had come up; the next crash is a new story.
const SETTLED: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a daemon in the background has until its socket answers.
const COME_UP: Duration = Duration::from_secs(30);

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match args.detach {
        true => detach(settings).await,
        false => supervise(settings).await,
    }
}

async fn supervise(settings: &Settings) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    let forge = tokio::spawn(remote::keep(settings.clone(), stop.clone()));
    let ended = supervise_reconciler(settings).await;
    stop.cancel();
    forge.await.context("end `berth remote`")?;
    ended
}

async fn supervise_reconciler(settings: &Settings) -> anyhow::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen to SIGINT")?;
    let program = std::env::current_exe().context("find our own program")?;
    let mut wait = FIRST_WAIT;
    let mut came_up = false;
    loop {
        let started = Instant::now();
        let mut child = Command::new(&program)
            .arg("reconcile")
            .args(arguments(settings))
            .stdin(Stdio::null())
            // Its own process group: a Ctrl-C in the terminal reaches it through us, once.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("start the reconciler")?;
        let ended = tokio::select! {
            ended = child.wait() => ended.context("wait for the reconciler")?,
            _ = terminate.recv() => return end(child).await,
            _ = interrupt.recv() => return end(child).await,
        };
        if ended.success() {
            // Somebody asked it to end.
            return Ok(Exit::Ok);
        }
        // What can't begin says why and ends by itself; what a signal ends may have run well until then.
        came_up |= started.elapsed() > COMING_UP || ended.code().is_none();
        if !came_up {
            bail!("the reconciler could not begin; what it said is above");
        }
        wait = if started.elapsed() > SETTLED { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        tracing::error!(%ended, wait_ms = wait.as_millis(), "the reconciler ended by itself; it is started again");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = terminate.recv() => return Ok(Exit::Ok),
            _ = interrupt.recv() => return Ok(Exit::Ok),
        }
    }
}

/// Asks the child to end and waits until it has finished its step.
async fn end(mut child: Child) -> anyhow::Result<Exit> {
    terminate(&child);
    child.wait().await.context("wait for the reconciler")?;
    Ok(Exit::Ok)
}

/// Sends SIGTERM.
fn terminate(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
        // It may have ended in this very moment, which is what is wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

async fn detach(settings: &Settings) -> anyhow::Result<Exit> {
    let mut daemon = match Daemon::find(&settings.socket()).await? {
        Some(daemon) if is_current(&daemon) => {
            say("The platform is running already; asking for a pass.");
            daemon
        }
        Some(_) => {
            say("The platform runs another version of this program; it is restarted. Servers keep running.");
            super::down::run(settings).await?;
            start(settings).await?
        }
        None => start(settings).await?,
    };
    let record = daemon.sync(&Draw::new(true)).await?;
    tell(&record);
    Ok(if record.is_clean() { Exit::Ok } else { Exit::Failed })
}

/// Whether a daemon runs the very file that this program is: a new version takes its place by a rename.
fn is_current(daemon: &Daemon) -> bool {
    let theirs = daemon.pid().and_then(|pid| fs::metadata(format!("/proc/{pid}/exe")).ok());
    let ours = fs::metadata("/proc/self/exe").ok();
    match (theirs, ours) {
        (Some(theirs), Some(ours)) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
        // Another user's process doesn't show its program; then it is not ours to restart.
        _ => true,
    }
}

async fn start(settings: &Settings) -> anyhow::Result<Daemon> {
    fs::create_dir_all(&settings.data).with_context(|| format!("make {}", settings.data.display()))?;
    let path = settings.log();
    let log = fs::File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("open {}", path.display()))?;
    let mut command = std::process::Command::new(std::env::current_exe().context("find our own program")?);
    command
        .arg("up")
        .args(arguments(settings))
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share the log")?)
        .stderr(log)
        // Of no terminal's group, so that closing the terminal doesn't end it.
        .process_group(0);
    let mut child = command.spawn().context("start the platform in the background")?;
    let deadline = Instant::now() + COME_UP;
    loop {
        if let Some(daemon) = Daemon::find(&settings.socket()).await? {
            return Ok(daemon);
        }
        if let Some(ended) = child.try_wait().context("look after the background process")? {
            bail!(
                "the platform ended at once ({ended}); {} says why:\n{}",
                path.display(),
                last_lines(&path)
            );
        }
        if Instant::now() > deadline {
            // What doesn't come up must not go on trying unseen.
            let _ = child.kill();
            bail!("the platform does not come up; {} says why:\n{}", path.display(), last_lines(&path));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(5))
        .map(|line| format!("  | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn arguments(settings: &Settings) -> Vec<std::ffi::OsString> {
    let mut arguments = vec![
        "--state".into(),
        settings.state.clone().into(),
        "--data".into(),
        settings.data.clone().into(),
        "--docker".into(),
        settings.docker.clone().into(),
    ];
    if let Some(templates) = &settings.templates {
        arguments.extend(["--templates".into(), templates.into()]);
    }
    arguments
}
