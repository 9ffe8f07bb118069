//! `berth up`: starts the platform's processes and keeps them running, for a single machine.
//!
//! They run as children, so that a crash is a restart and not an outage: the reconciler, and, where the state is a
//! repository, the git door, `berth-web` where `platform.toml` has `[panel]`, `berth remote` where a forge hosts it, `berth acme` where Berth keeps
//! the account at the CA, `berth oidc` where people sign in by an OpenID provider, `berth mail` where mails are sent, `berth backup keep`
//! where there are backups, `berth metrics` where scrapers are answered, and `berth alarms send` where somebody is told of alarms.

pub(super) mod acme;
pub(super) mod alarms;
mod backup;
mod child;
pub(super) mod followed;
pub(super) mod mail;
mod metrics;
pub(super) mod oidc;
pub(super) mod panel;
mod remote;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use berth_tasks::{Pulse, Tasks};
use berth_wire::client::Daemon;
use tokio::process::Command;

use super::Exit;
use super::apply::tell;
use crate::draw::{Draw, say};
use crate::settings::Settings;
use child::{GLANCE, GRACE, Kept, Unasked, arguments, ends, keep};

/// Options of the start.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Start in the background, and return once the state repo is applied
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    door: super::git::Args,
}

/// Time for a daemon in the background to answer at its socket.
const COME_UP: Duration = Duration::from_secs(30);
/// Time for the reconciler to end: it finishes the step in hand, and a server may take its whole time to stop.
const LONG_GRACE: Duration = Duration::from_secs(180);

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match args.detach {
        true => detach(args, settings).await,
        false => Box::pin(supervise(args, settings)).await,
    }
}

async fn supervise(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    let stop = tasks.stop();
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    if has_history(settings) {
        super::hook::close(&settings.state)?;
    }
    let program = std::env::current_exe().context("cannot find our own program")?;
    let words = |command: &str| [vec![command.into()], arguments(settings)].concat();
    let reconciler = Kept {
        what: "the reconciler",
        program: program.clone(),
        arguments: words("reconcile"),
        socket: Some(settings.socket()),
        grace: LONG_GRACE,
        unasked: Unasked::IsTheEnd,
    };
    let door = has_history(settings).then(|| {
        let arguments = [words("git"), args.door.arguments(), vec!["--with-parent".into()]].concat();
        Kept {
            what: "the git door",
            program: program.clone(),
            arguments,
            socket: None,
            grace: GRACE,
            unasked: Unasked::IsACrash,
        }
    });
    let closing = stop.child_token();
    let door = async {
        match &door {
            Some(door) => keep(door, &closing).await,
            None => Ok(()),
        }
    };
    let reconciler = async {
        let ended = keep(&reconciler, stop).await;
        // Without it there is nothing to keep the door open for.
        closing.cancel();
        ended
    };
    let forge = remote::keep(program.clone(), settings.clone(), closing.clone());
    let unheard = Pulse::default();
    let panel = panel::keep(program.clone(), settings.clone(), closing.clone(), &unheard);
    let acme = acme::PART.keep(acme::read, program.clone(), settings.clone(), closing.clone());
    let oidc = oidc::PART.keep(oidc::read, program.clone(), settings.clone(), closing.clone());
    let mail = mail::keep(program.clone(), settings.clone(), closing.clone());
    let backup = backup::keep(program.clone(), settings.clone(), closing.clone());
    let metrics = metrics::keep(program.clone(), settings.clone(), closing.clone());
    let alarms = alarms::keep(program.clone(), settings.clone(), closing.clone());
    let (reconciler, door, (), (), (), (), (), (), (), ()) =
        tokio::join!(reconciler, door, forge, panel, acme, oidc, mail, backup, metrics, alarms);
    let signals = tasks.end().await;
    reconciler.and(door)?;
    Ok(signals.map(|()| Exit::Ok)?)
}

/// Checks that there is a repository to push to.
fn has_history(settings: &Settings) -> bool {
    !matches!(berth_repo::Source::of(&settings.state), Ok(berth_repo::Source::Directory) | Err(_))
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

/// Checks that a daemon runs the very file of this program: a new version takes its place by a rename.
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
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    let path = settings.log();
    let log = fs::File::options().create(true).append(true).mode(0o600).open(&path);
    let log = log.with_context(|| format!("cannot open {}", path.display()))?;
    let mut command =
        std::process::Command::new(std::env::current_exe().context("cannot find our own program")?);
    command
        .arg("up")
        .args(arguments(settings))
        .args(args.door.arguments())
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot share the log")?)
        .stderr(log)
        // Of no terminal's group, so that closing the terminal doesn't end it.
        .process_group(0);
    let mut child = Command::from(command).spawn().context("cannot start the platform in the background")?;
    let deadline = Instant::now() + COME_UP;
    loop {
        if let Some(daemon) = Daemon::find(&settings.socket()).await? {
            return Ok(daemon);
        }
        if let Some(ended) = child.try_wait().context("cannot look after the background process")? {
            bail!(
                "the platform ended at once ({ended}); {} says why:\n{}",
                path.display(),
                last_lines(&path)
            );
        }
        if Instant::now() > deadline {
            // What doesn't come up must not go on trying unseen, nor what it started.
            ends(&mut child, GRACE).await;
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
