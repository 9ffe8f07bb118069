//! Supervisor that keeps the port and a router on it, and lets a new router take over from an old one.
//!
//! The listening socket belongs to this process and is every router's standard input, so that connections always find it
//! open. A router announces on its standard output that it listens, and only then is the one before told to finish. This
//! process knows nothing of SSH and reads no routes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use berth_host::Waits;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::listen;
use crate::settings::Supervise;

/// Reasons for giving up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuperviseError {
    #[error("cannot listen on the port")]
    Listen(#[source] io::Error),
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
    #[error("cannot start the router")]
    Start(#[source] io::Error),
    #[error("cannot keep a router: it ended before it listened ({0}), for the reason above")]
    NeverListened(String),
}

/// Time after which a router that doesn't listen is given up.
const START_MAX: Duration = Duration::from_secs(30);
/// Pauses before a dead router is started again.
const PAUSES: Waits = Waits::new(Duration::from_millis(200), Duration::from_secs(10));
/// Lifetime from which on a router counts as good, and the pauses begin anew.
const LIVED: Duration = Duration::from_secs(60);
/// Announcement of a router that listens.
const READY: &[u8; 6] = b"ready\n";

/// Role of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Doesn't listen yet, and is given up at this time.
    Starting(Instant),
    /// Accepts connections since this time.
    Serving(Instant),
    /// Lets its sessions finish.
    Finishing,
}

struct Supervisor {
    rules: Supervise,
    program: PathBuf,
    /// `None` once everything has to stop.
    socket: Option<OwnedFd>,
    routers: HashMap<Pid, Role>,
    /// Set when another router was asked for while one was starting.
    again: bool,
    /// Time at which the next router is started, if none serves or starts.
    restart: Option<Instant>,
    pauses: Waits,
    /// Set once any router has listened.
    served: bool,
    listens: mpsc::Sender<Pid>,
}

/// Runs until SIGTERM and the end of the last session, or until the first router fails to start.
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
        pauses: PAUSES,
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
        // In a group of its own: an interrupt from the keyboard reaches it once, through this process.
        command.stdin(Stdio::from(socket.try_clone()?)).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        self.routers.insert(pid, Role::Starting(Instant::now() + START_MAX));
        tracing::info!(router = pid.as_raw_nonzero(), "router started");
        let Some(stdout) = child.stdout.take() else { return Ok(()) };
        let (mut said, listens) = (pipe::Receiver::from_owned_fd(stdout.into())?, self.listens.clone());
        tokio::spawn(async move {
            let mut words = [0; READY.len()];
            // One that ends instead is noticed by the signal of its end.
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

    /// Notes that a router listens, and tells the ones before it to finish.
    fn take_over(&mut self, router: Pid) {
        match self.routers.get_mut(&router) {
            Some(role @ Role::Starting(_)) => *role = Role::Serving(Instant::now()),
            // It has ended since, or it has to stop.
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

    /// Starts a router that will take over.
    fn renew(&mut self) {
        if self.routers.values().any(|role| matches!(role, Role::Starting(_))) {
            self.again = true;
            return;
        }
        if let Err(error) = self.start() {
            tracing::error!(%error, "cannot start a new router; the one before goes on");
        }
    }

    fn renew_again(&mut self) {
        if std::mem::take(&mut self.again) {
            self.renew();
        }
    }

    /// Lets everything finish the first time, and ends everything the second time.
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

    /// Waits for every child that has ended, orphans of other processes included.
    fn reap(&mut self) -> Result<(), SuperviseError> {
        // An error means that there are no children.
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
                        self.pauses.reset();
                    }
                }
            }
        }
        self.plan_restart();
        Ok(())
    }

    /// Plans the start of a router if none serves or starts.
    fn plan_restart(&mut self) {
        if self.socket.is_some() && !self.has_router() && self.restart.is_none() {
            self.restart = Some(Instant::now() + self.pauses.next_wait());
        }
    }

    /// Returns the time at which something is due.
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
                // The signal of its end comes next.
                *role = Role::Starting(now + START_MAX);
            }
        }
        if self.restart.is_some_and(|at| at <= now) {
            self.restart = None;
            if self.has_router() {
                return;
            }
            if let Err(error) = self.start() {
                tracing::error!(%error, "cannot start the router");
                self.plan_restart();
            }
        }
    }

    fn finish(&mut self, pid: Pid) {
        // Its number stays its own until this process waits for it, even if it has ended already.
        let _ = kill_process(pid, Signal::TERM);
        self.routers.insert(pid, Role::Finishing);
    }

    /// Returns whether a router serves or starts.
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
