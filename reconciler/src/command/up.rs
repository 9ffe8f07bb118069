//! `berth up`: starts the platform's processes and keeps them running, for a single machine.
//!
//! They run as children, so that a crash is a restart and not an outage: the reconciler, and, where the state is a
//! repository, the git door and, where a forge hosts it, `berth remote`.

mod remote;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::apply::tell;
use crate::client::Daemon;
use crate::daemon::stop_on_signals;
use crate::draw::{Draw, say};
use crate::settings::Settings;

/// How to start.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Start in the background, and return when the state repo is applied
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    door: super::git::Args,
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
        true => detach(args, settings).await,
        false => supervise(args, settings).await,
    }
}

/// A child process that is kept running.
struct Kept {
    what: &'static str,
    arguments: Vec<OsString>,
    /// Whether the platform is pointless where it can't begin.
    needed: bool,
}

async fn supervise(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let stop = stop_on_signals().context("listen to signals")?;
    let words = |command: &str| [vec![command.into()], arguments(settings)].concat();
    let reconciler = Kept { what: "the reconciler", arguments: words("reconcile"), needed: true };
    let door = has_history(settings).then(|| {
        let arguments = [words("git"), args.door.arguments(), vec!["--with-parent".into()]].concat();
        Kept { what: "the git door", arguments, needed: false }
    });
    let closing = stop.child_token();
    let door = async {
        match &door {
            Some(door) => keep(door, &closing).await,
            None => Ok(()),
        }
    };
    let reconciler = async {
        let ended = keep(&reconciler, &stop).await;
        // Without it there is nothing to keep the door open for.
        closing.cancel();
        ended
    };
    let forge = remote::keep(settings.clone(), closing.clone());
    let (reconciler, door, ()) = tokio::join!(reconciler, door, forge);
    reconciler.and(door).map(|()| Exit::Ok)
}

/// Whether there is a repository that could be pushed to.
fn has_history(settings: &Settings) -> bool {
    !matches!(berth_repo::Source::of(&settings.state), Ok(berth_repo::Source::Directory) | Err(_))
}

/// Starts a child again whenever it ends by itself, until `stop` or until it ends as asked.
async fn keep(kept: &Kept, stop: &CancellationToken) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("find our own program")?;
    let mut wait = FIRST_WAIT;
    let mut came_up = !kept.needed;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let mut child = Command::new(&program)
            .args(&kept.arguments)
            .stdin(Stdio::null())
            // Its own process group: a Ctrl-C in the terminal reaches it through us, once.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", kept.what))?;
        let ended = tokio::select! {
            ended = child.wait() => ended.with_context(|| format!("wait for {}", kept.what))?,
            () = stop.cancelled() => return end(child, kept).await,
        };
        if ended.success() {
            // Somebody asked it to end.
            return Ok(());
        }
        // What can't begin says why and ends by itself; what a signal ends may have run well until then.
        came_up |= started.elapsed() > COMING_UP || ended.code().is_none();
        if !came_up {
            bail!("{} could not begin; what it said is above", kept.what);
        }
        wait = if started.elapsed() > SETTLED { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        tracing::error!(%ended, wait_ms = wait.as_millis(), "{} ended by itself; it is started again", kept.what);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Asks the child to end and waits until it has finished its step.
async fn end(mut child: Child, kept: &Kept) -> anyhow::Result<()> {
    terminate(&child);
    child.wait().await.with_context(|| format!("wait for {}", kept.what))?;
    Ok(())
}

/// Sends SIGTERM.
fn terminate(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
        // It may have ended in this very moment, which is what is wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

async fn detach(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let mut daemon = match Daemon::find(&settings.socket()).await? {
        Some(daemon) if is_current(&daemon) => {
            say("The platform is running already; asking for a pass.");
            daemon
        }
        Some(_) => {
            say("The platform runs another version of this program; it is restarted. Servers keep running.");
            super::down::run(settings).await?;
            start(args, settings).await?
        }
        None => start(args, settings).await?,
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

async fn start(args: &Args, settings: &Settings) -> anyhow::Result<Daemon> {
    fs::create_dir_all(&settings.data).with_context(|| format!("make {}", settings.data.display()))?;
    let path = settings.log();
    let log = fs::File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("open {}", path.display()))?;
    let mut command = std::process::Command::new(std::env::current_exe().context("find our own program")?);
    command
        .arg("up")
        .args(arguments(settings))
        .args(args.door.arguments())
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

fn arguments(settings: &Settings) -> Vec<OsString> {
    let mut arguments = vec![
        "--state".into(),
        settings.state.clone().into(),
        "--data".into(),
        settings.data.clone().into(),
        "--docker".into(),
        settings.docker.clone().into(),
    ];
    if let Some(resolver) = settings.resolver {
        arguments.extend(["--resolver".into(), resolver.to_string().into()]);
    }
    if let Some(templates) = &settings.templates {
        arguments.extend(["--templates".into(), templates.into()]);
    }
    arguments
}
