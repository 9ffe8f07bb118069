//! The supervisor's process: starts programs on the socket, hears of their ends, and tells those before to finish.
//!
//! The listening socket belongs to this process and is every program's standard input, so that connections always find it
//! open. A program announces on its standard output that it listens, and only then is the one before told to finish.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use berth_host::Waits;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::report::{News, Report};

/// Settings of a program that is kept.
#[derive(Debug)]
pub struct Rules {
    /// The program in a word, for the log and for errors.
    pub what: &'static str,
    /// The listening socket.
    pub socket: OwnedFd,
    /// The program, as it is whenever one is started.
    pub program: PathBuf,
    /// Flags for the program, besides `--listen=stdin` and `--ready`.
    pub flags: Vec<OsString>,
    /// File with more flags, one a line. Every new program gets those that are in it then.
    pub flags_file: Option<PathBuf>,
    /// File in which the supervisor says what came of each start.
    pub report: Option<PathBuf>,
}

/// Reasons for giving up.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SuperviseError {
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
    #[error("cannot start the {what}")]
    Start {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot keep a {what}: it ended before it listened ({how}), for the reason above")]
    NeverListened { what: &'static str, how: String },
}

/// Time after which a program that doesn't listen is given up.
const START_MAX: Duration = Duration::from_secs(30);
/// Pauses before a dead program is started again.
const PAUSES: Waits = Waits::new(Duration::from_millis(200), Duration::from_secs(10));
/// Lifetime from which on a program counts as good, and the pauses begin anew.
const LIVED: Duration = Duration::from_secs(60);
/// Announcement of a program that listens.
pub(crate) const READY: &[u8; 6] = b"ready\n";

/// Role of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Doesn't listen yet, and is given up at this time.
    Starting(Instant),
    /// Never listened, and was killed.
    GivenUp,
    /// Accepts connections since this time.
    Serving(Instant),
    /// Lets what it has open finish.
    Finishing,
}

struct Supervisor {
    what: &'static str,
    program: PathBuf,
    flags: Vec<OsString>,
    flags_file: Option<PathBuf>,
    report: Option<PathBuf>,
    /// Number of reports so far.
    reports: u64,
    /// `None` once everything has to stop.
    socket: Option<OwnedFd>,
    running: HashMap<Pid, Role>,
    /// Set when another program was asked for while one was starting.
    again: bool,
    /// Time at which the next program is started, if none serves or starts.
    restart: Option<Instant>,
    pauses: Waits,
    /// Set once any program has listened.
    served: bool,
    listens: mpsc::Sender<Pid>,
}

/// Runs until SIGTERM and the end of the last program, or until the first one fails to start. SIGHUP starts the next one.
///
/// Wants a runtime on a single thread: a program asks for a signal when the thread that started it ends, and no thread ends
/// earlier than the process.
pub async fn run(rules: Rules) -> Result<(), SuperviseError> {
    let on = |kind| signal(kind).map_err(SuperviseError::Signals);
    let (mut ended, mut renew) = (on(SignalKind::child())?, on(SignalKind::hangup())?);
    let (mut stop, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let (listens, mut listening) = mpsc::channel(1);
    let Rules { what, socket, program, flags, flags_file, report } = rules;
    let mut supervisor = Supervisor {
        what,
        program,
        flags,
        flags_file,
        report,
        reports: 0,
        socket: Some(socket),
        running: HashMap::new(),
        again: false,
        restart: None,
        pauses: PAUSES,
        served: false,
        listens,
    };
    supervisor.start().map_err(|source| SuperviseError::Start { what, source })?;
    loop {
        let next = supervisor.next_time();
        tokio::select! {
            _ = ended.recv() => supervisor.reap()?,
            Some(pid) = listening.recv() => supervisor.take_over(pid),
            _ = renew.recv() => supervisor.renew(),
            _ = stop.recv() => supervisor.stop(),
            _ = interrupt.recv() => supervisor.stop(),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => supervisor.on_time(),
        }
        if supervisor.socket.is_none() && supervisor.running.is_empty() {
            return Ok(());
        }
    }
}

impl Supervisor {
    /// Starts a program on the socket.
    fn start(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let mut command = Command::new(&self.program);
        command.args(&self.flags).args(self.flags_of_file()?).args(["--listen=stdin", "--ready"]);
        // In a group of its own: an interrupt from the keyboard reaches it once, through this process.
        command.stdin(Stdio::from(socket.try_clone()?)).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        self.running.insert(pid, Role::Starting(Instant::now() + START_MAX));
        tracing::info!(pid = pid.as_raw_nonzero(), "{} started", self.what);
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
        let Some(file) = &self.flags_file else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(file)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(lines.map(OsString::from).collect())
    }

    /// Notes that a program listens, and tells the ones before it to finish.
    fn take_over(&mut self, pid: Pid) {
        if self.socket.is_none() {
            // It was asked to end before it could hear that.
            return self.finish(pid);
        }
        match self.running.get_mut(&pid) {
            Some(role @ Role::Starting(_)) => *role = Role::Serving(Instant::now()),
            // It has ended since, or it has to stop.
            _ => return,
        }
        (self.served, self.restart) = (true, None);
        let before: Vec<Pid> = self.serving().filter(|other| *other != pid).collect();
        tracing::info!(pid = pid.as_raw_nonzero(), from = before.len(), "{} took over", self.what);
        for pid in before {
            self.finish(pid);
        }
        self.tell(News::Serves(pid));
        self.renew_again();
    }

    /// Starts a program that will take over.
    fn renew(&mut self) {
        if self.running.values().any(|role| matches!(role, Role::Starting(_) | Role::GivenUp)) {
            self.again = true;
            return;
        }
        if let Err(error) = self.start() {
            tracing::error!(%error, "cannot start a new {}; the one before goes on", self.what);
            self.tell(News::Failed(format!("it cannot be started: {error}")));
        }
    }

    fn renew_again(&mut self) {
        if std::mem::take(&mut self.again) {
            self.renew();
        }
    }

    /// Writes the report, if somebody wants one.
    fn tell(&mut self, news: News) {
        let Some(path) = &self.report else { return };
        self.reports += 1;
        let report = Report { supervisor: rustix::process::getpid(), number: self.reports, news };
        if let Err(error) = report.write(path) {
            tracing::error!(path = %path.display(), %error, "cannot write what came of a start");
        }
    }

    /// Lets everything finish the first time, and ends everything the second time.
    fn stop(&mut self) {
        let first = self.socket.take().is_some();
        (self.again, self.restart) = (false, None);
        let running: Vec<(Pid, Role)> = self.running.iter().map(|(pid, role)| (*pid, *role)).collect();
        for (pid, role) in running {
            match role {
                // What can't even begin may not hear that it has to end: its time still runs out.
                Role::Starting(_) => {
                    let _ = kill_process(pid, Signal::TERM);
                }
                Role::GivenUp => {}
                Role::Serving(_) => self.finish(pid),
                Role::Finishing if first => {}
                Role::Finishing => self.finish(pid),
            }
        }
    }

    /// Waits for every child that has ended, orphans of other processes included.
    fn reap(&mut self) -> Result<(), SuperviseError> {
        // An error means that there are no children.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(role) = self.running.remove(&pid) else { continue };
            let (what, how) = (self.what, in_words(status));
            let pid = pid.as_raw_nonzero();
            match role {
                Role::Finishing => tracing::info!(pid, how, "{what} finished"),
                Role::Starting(_) | Role::GivenUp if self.socket.is_none() => {
                    tracing::info!(pid, how, "the new {what} ended");
                }
                Role::Starting(_) | Role::GivenUp => {
                    let why = match role {
                        Role::GivenUp => format!("it didn't listen within {} seconds", START_MAX.as_secs()),
                        _ => format!("it ended before it listened ({how})"),
                    };
                    tracing::error!(pid, how, "the new {what} ended before it listened");
                    self.tell(News::Failed(why));
                    if !self.served {
                        return Err(SuperviseError::NeverListened { what, how });
                    }
                    self.renew_again();
                }
                Role::Serving(since) => {
                    tracing::error!(pid, how, "{what} died");
                    if since.elapsed() >= LIVED {
                        self.pauses.reset();
                    }
                }
            }
        }
        self.plan_restart();
        Ok(())
    }

    /// Plans the start of a program if none serves or starts.
    fn plan_restart(&mut self) {
        if self.socket.is_some() && !self.has_program() && self.restart.is_none() {
            self.restart = Some(Instant::now() + self.pauses.next_wait());
        }
    }

    /// Returns the time at which something is due.
    fn next_time(&self) -> Option<Instant> {
        let given_up = self.running.values().filter_map(|role| match role {
            Role::Starting(until) => Some(*until),
            Role::GivenUp | Role::Serving(_) | Role::Finishing => None,
        });
        given_up.chain(self.restart).min()
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        for (pid, role) in &mut self.running {
            if matches!(role, Role::Starting(until) if *until <= now) {
                tracing::error!(pid = pid.as_raw_nonzero(), "{} given up: it doesn't listen", self.what);
                // With what it has started, which would hold the socket. The signal of its end comes next.
                let _ = kill_process_group(*pid, Signal::KILL);
                *role = Role::GivenUp;
            }
        }
        if self.restart.is_some_and(|at| at <= now) {
            self.restart = None;
            if self.has_program() {
                return;
            }
            if let Err(error) = self.start() {
                tracing::error!(%error, "cannot start the {}", self.what);
                self.plan_restart();
            }
        }
    }

    fn finish(&mut self, pid: Pid) {
        // Its number stays its own until this process waits for it, even if it has ended already.
        let _ = kill_process(pid, Signal::TERM);
        self.running.insert(pid, Role::Finishing);
    }

    /// Returns whether a program serves or starts.
    fn has_program(&self) -> bool {
        self.running.values().any(|role| *role != Role::Finishing)
    }

    fn serving(&self) -> impl Iterator<Item = Pid> {
        self.running.iter().filter(|(_, role)| matches!(role, Role::Serving(_))).map(|(pid, _)| *pid)
    }
}

fn in_words(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}
