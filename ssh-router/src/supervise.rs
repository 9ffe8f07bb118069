//! Keeps the port and a router on it, and lets a new router take over from an old one.
//!
//! The listening socket belongs to this process and is each router's standard input, so that a connection finds it open
//! at any moment. A router says on its standard output that it listens; only then the one before is told to finish. This
//! process knows nothing of SSH, and reads no routes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::listen;
use crate::settings::Supervise;

/// Why there is no router any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuperviseError {
    #[error("the port can't be listened on")]
    Listen(#[source] io::Error),
    #[error("signals can't be received")]
    Signals(#[source] io::Error),
    #[error("the router can't be started")]
    Start(#[source] io::Error),
    #[error("the router ended before it listened ({0}); its own words are above")]
    NeverListened(String),
}

/// A router that doesn't listen by then is given up.
const START_MAX: Duration = Duration::from_secs(30);
/// Before a router that died is started again; doubled each time, up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A router that lived so long was not bad from the start.
const LIVED: Duration = Duration::from_secs(60);
/// What a router says.
const READY: &[u8; 6] = b"ready\n";

/// What a router is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Doesn't listen yet; given up at this time.
    Starting(Instant),
    /// Accepts, since then.
    Serving(Instant),
    /// Lets its sessions finish.
    Finishing,
}

struct Supervisor {
    rules: Supervise,
    program: PathBuf,
    /// `None` once everything is to stop.
    socket: Option<OwnedFd>,
    routers: HashMap<Pid, Role>,
    /// Whether another router was asked for while one was starting.
    again: bool,
    /// When the next is started, if none serves or starts.
    restart: Option<Instant>,
    pause: Duration,
    /// Whether any router ever listened.
    served: bool,
    listens: mpsc::Sender<Pid>,
}

/// Runs until SIGTERM and the end of the last session, or until the first router failed to start.
pub(crate) async fn run(rules: Supervise, program: PathBuf) -> Result<(), SuperviseError> {
    let on = |kind| signal(kind).map_err(SuperviseError::Signals);
    let (mut ended, mut renew) = (on(SignalKind::child())?, on(SignalKind::hangup())?);
    let (mut stop, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let socket = listen::bind(rules.listen).map_err(SuperviseError::Listen)?;
    let (listens, mut listening) = mpsc::channel(1);
    let mut supervisor = Supervisor {
        rules,
        program,
        socket: Some(socket.into()),
        routers: HashMap::new(),
        again: false,
        restart: None,
        pause: PAUSE.0,
        served: false,
        listens,
    };
    supervisor.start().map_err(SuperviseError::Start)?;
    loop {
        let next = supervisor.next_time();
        tokio::select! {
            _ = ended.recv() => supervisor.reap()?,
            Some(router) = listening.recv() => supervisor.take_over(router),
            _ = renew.recv() => supervisor.renew(),
            _ = stop.recv() => supervisor.stop(),
            _ = interrupt.recv() => supervisor.stop(),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => supervisor.on_time(),
        }
        if supervisor.socket.is_none() && supervisor.routers.is_empty() {
            return Ok(());
        }
    }
}

impl Supervisor {
    /// Starts a router on the socket.
    fn start(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let mut command = Command::new(&self.program);
        command.args(&self.rules.flags).args(self.flags_of_file()?).args(["--listen=stdin", "--ready"]);
        // A group of its own: an interrupt that is typed reaches it through us, once.
        command.stdin(Stdio::from(socket.try_clone()?)).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        self.routers.insert(pid, Role::Starting(Instant::now() + START_MAX));
        tracing::info!(router = pid.as_raw_nonzero(), "router started");
        let Some(stdout) = child.stdout.take() else { return Ok(()) };
        let (mut said, listens) = (pipe::Receiver::from_owned_fd(stdout.into())?, self.listens.clone());
        tokio::spawn(async move {
            let mut words = [0; READY.len()];
            // One that ends instead is heard of by its signal.
            if said.read_exact(&mut words).await.is_ok() && &words == READY {
                let _ = listens.send(pid).await;
            }
        });
        Ok(())
    }

    fn flags_of_file(&self) -> io::Result<Vec<OsString>> {
        let Some(file) = &self.rules.flags_file else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(file)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(lines.map(OsString::from).collect())
    }

    /// A router listens: the ones before it finish.
    fn take_over(&mut self, router: Pid) {
        match self.routers.get_mut(&router) {
            Some(role @ Role::Starting(_)) => *role = Role::Serving(Instant::now()),
            // It has ended since, or is to stop.
            _ => return,
        }
        (self.served, self.restart) = (true, None);
        let before: Vec<Pid> = self.serving().filter(|pid| *pid != router).collect();
        tracing::info!(router = router.as_raw_nonzero(), from = before.len(), "router took over");
        for pid in before {
            self.finish(pid);
        }
        self.renew_again();
    }

    /// Starts a router that is to take over.
    fn renew(&mut self) {
        if self.routers.values().any(|role| matches!(role, Role::Starting(_))) {
            self.again = true;
            return;
        }
        if let Err(error) = self.start() {
            tracing::error!(%error, "no new router can be started; the one before goes on");
        }
    }

    fn renew_again(&mut self) {
        if std::mem::take(&mut self.again) {
            self.renew();
        }
    }

    /// The first time, everything finishes; the second time, everything ends.
    fn stop(&mut self) {
        let first = self.socket.take().is_some();
        (self.again, self.restart) = (false, None);
        let routers: Vec<(Pid, Role)> = self.routers.iter().map(|(pid, role)| (*pid, *role)).collect();
        for (pid, role) in routers {
            if !first || role != Role::Finishing {
                self.finish(pid);
            }
        }
    }

    /// Takes leave of every child that has ended, also of those that were left to us.
    fn reap(&mut self) -> Result<(), SuperviseError> {
        // An error says that there are no children.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(role) = self.routers.remove(&pid) else { continue };
            let (router, how) = (pid.as_raw_nonzero(), in_words(status));
            match role {
                Role::Finishing => tracing::info!(router, how, "router finished"),
                Role::Starting(_) if !self.served => return Err(SuperviseError::NeverListened(how)),
                Role::Starting(_) => {
                    tracing::error!(router, how, "the new router ended before it listened");
                    self.renew_again();
                }
                Role::Serving(since) => {
                    tracing::error!(router, how, "router died");
                    if since.elapsed() >= LIVED {
                        self.pause = PAUSE.0;
                    }
                }
            }
        }
        self.plan_restart();
        Ok(())
    }

    /// Where nobody serves and nobody will, a router is started in a while.
    fn plan_restart(&mut self) {
        if self.socket.is_some() && !self.has_router() && self.restart.is_none() {
            self.restart = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(PAUSE.1);
        }
    }

    /// When something is due.
    fn next_time(&self) -> Option<Instant> {
        let given_up = self.routers.values().filter_map(|role| match role {
            Role::Starting(until) => Some(*until),
            Role::Serving(_) | Role::Finishing => None,
        });
        given_up.chain(self.restart).min()
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        for (pid, role) in &mut self.routers {
            if matches!(role, Role::Starting(until) if *until <= now) {
                tracing::error!(router = pid.as_raw_nonzero(), "router given up: it doesn't listen");
                let _ = kill_process(*pid, Signal::KILL);
                // Heard of again when it has ended.
                *role = Role::Starting(now + START_MAX);
            }
        }
        if self.restart.is_some_and(|at| at <= now) {
            self.restart = None;
            if self.has_router() {
                return;
            }
            if let Err(error) = self.start() {
                tracing::error!(%error, "the router can't be started");
                self.plan_restart();
            }
        }
    }

    fn finish(&mut self, pid: Pid) {
        // Its number is its own until we take leave of it; where it has ended already, that comes next.
        let _ = kill_process(pid, Signal::TERM);
        self.routers.insert(pid, Role::Finishing);
    }

    /// Whether a router serves or starts.
    fn has_router(&self) -> bool {
        self.routers.values().any(|role| *role != Role::Finishing)
    }

    fn serving(&self) -> impl Iterator<Item = Pid> {
        self.routers.iter().filter(|(_, role)| matches!(role, Role::Serving(_))).map(|(pid, _)| *pid)
    }
}

fn in_words(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}
