//! `berth up`: starts the platform's processes and keeps them running, for a single machine.
//!
//! They run as children, so that a crash is a restart and not an outage: the reconciler, and, where the state is a
//! repository, the git door and, where a forge hosts it, `berth remote`.

mod remote;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
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

/// A child that lived this long had come up; the next crash is a new story.
const SETTLED: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a daemon in the background has until its socket answers.
const COME_UP: Duration = Duration::from_secs(30);
/// Between two looks whether a socket answers.
const GLANCE: Duration = Duration::from_millis(50);
/// How long the reconciler may take to end: it finishes the step in hand, and a server may take its whole time to stop.
const LONG_GRACE: Duration = Duration::from_secs(180);
/// How long any other child may take: it has nothing of its own to finish.
const GRACE: Duration = Duration::from_secs(20);

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match args.detach {
        true => detach(args, settings).await,
        false => supervise(args, settings).await,
    }
}

/// A child process that is kept running.
struct Kept {
    what: &'static str,
    /// Our own program, as it was called when we began: its file may be replaced meanwhile.
    program: PathBuf,
    arguments: Vec<OsString>,
    /// The socket whose answer says that it has come up. The platform is pointless where it never does; without a socket it
    /// is tried for as long as the platform runs.
    socket: Option<PathBuf>,
    /// How long it may take to end when it is asked to.
    grace: Duration,
}

async fn supervise(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let stop = stop_on_signals().context("listen to signals")?;
    settings.make_data().with_context(|| format!("make {}", settings.data.display()))?;
    let program = std::env::current_exe().context("find our own program")?;
    let words = |command: &str| [vec![command.into()], arguments(settings)].concat();
    let reconciler = Kept {
        what: "the reconciler",
        program: program.clone(),
        arguments: words("reconcile"),
        socket: Some(settings.socket()),
        grace: LONG_GRACE,
    };
    let door = has_history(settings).then(|| {
        let arguments = [words("git"), args.door.arguments(), vec!["--with-parent".into()]].concat();
        Kept { what: "the git door", program: program.clone(), arguments, socket: None, grace: GRACE }
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
    let forge = remote::keep(program.clone(), settings.clone(), closing.clone());
    let (reconciler, door, ()) = tokio::join!(reconciler, door, forge);
    reconciler.and(door).map(|()| Exit::Ok)
}

/// Whether there is a repository that could be pushed to.
fn has_history(settings: &Settings) -> bool {
    !matches!(berth_repo::Source::of(&settings.state), Ok(berth_repo::Source::Directory) | Err(_))
}

/// Starts a child again whenever it ends by itself, until `stop` or until it ends as asked.
async fn keep(kept: &Kept, stop: &CancellationToken) -> anyhow::Result<()> {
    let (mut pace, mut came_up) = (Pace::default(), kept.socket.is_none());
    while !stop.is_cancelled() {
        let started = Instant::now();
        match live(kept, &mut came_up, stop).await {
            Life::Over => return Ok(()),
            Life::Broken(why) if came_up => pace.rest(kept.what, &why, started, stop).await,
            // What can't begin has said why.
            Life::Broken(why) => bail!("{} could not begin ({why}); what it said is above", kept.what),
        }
    }
    Ok(())
}

/// How a child's life ended.
enum Life {
    /// Somebody asked it to end.
    Over,
    /// By itself, or it never began; why.
    Broken(String),
}

/// Starts a child and stays until it ends, or ends it on `stop`. Says in `came_up` whether it came as far.
async fn live(kept: &Kept, came_up: &mut bool, stop: &CancellationToken) -> Life {
    let started = Command::new(&kept.program)
        .args(&kept.arguments)
        .stdin(Stdio::null())
        // Its own process group: a Ctrl-C in the terminal reaches it through us, once.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Life::Broken(format!("it can't be started: {error}")),
    };
    let pid = child.id();
    loop {
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = answers(kept.socket.as_deref(), pid), if !*came_up => {
                *came_up = true;
                continue;
            }
            () = stop.cancelled() => {
                end(child, kept).await;
                return Life::Over;
            }
        };
        return match ended {
            Ok(ended) if ended.success() => Life::Over,
            Ok(ended) => {
                // It had no say in that, so it tells nothing of whether it could have begun.
                *came_up |= ended.code().is_none();
                Life::Broken(ended.to_string())
            }
            Err(error) => Life::Broken(format!("it can't be waited for: {error}")),
        };
    }
}

/// Returns when this process answers at the socket.
async fn answers(socket: Option<&Path>, pid: Option<u32>) {
    let Some(socket) = socket else { return std::future::pending().await };
    let is_it = |daemon: &Daemon| daemon.pid().map(i32::cast_unsigned) == pid;
    while !matches!(Daemon::find(socket).await, Ok(Some(daemon)) if is_it(&daemon)) {
        tokio::time::sleep(GLANCE).await;
    }
}

/// How soon what ended by itself is started again.
struct Pace {
    wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { wait: FIRST_WAIT }
    }
}

impl Pace {
    /// Says why something is started again, and waits, longer each time that it didn't live long.
    async fn rest(&mut self, what: &str, why: &str, started: Instant, stop: &CancellationToken) {
        let settled = started.elapsed() > SETTLED;
        self.wait = if settled { FIRST_WAIT } else { (self.wait * 2).min(LONGEST_WAIT) };
        tracing::error!(why, wait_ms = self.wait.as_millis(), "{what} ended by itself; it is started again");
        tokio::select! {
            () = tokio::time::sleep(self.wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Asks the child to end, and makes it when it doesn't.
async fn end(mut child: Child, kept: &Kept) {
    terminate(&child);
    let ended = tokio::time::timeout(kept.grace, child.wait()).await;
    if ended.is_err() {
        tracing::error!(grace_s = kept.grace.as_secs(), "{} does not end; it is killed", kept.what);
        if let Err(error) = child.kill().await {
            tracing::error!(%error, "{} can't be killed", kept.what);
        }
    }
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
    settings.make_data().with_context(|| format!("make {}", settings.data.display()))?;
    let path = settings.log();
    let log = fs::File::options().create(true).append(true).mode(0o600).open(&path);
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
    let mut child = Command::from(command).spawn().context("start the platform in the background")?;
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
            // What doesn't come up must not go on trying unseen, nor what it started.
            terminate(&child);
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
            bail!("the platform does not come up; {} says why:\n{}", path.display(), last_lines(&path));
        }
        tokio::time::sleep(GLANCE).await;
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
