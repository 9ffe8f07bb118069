//! The program that a command runs: which, with what, and how it is ended. No shell, and nothing of our own environment.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use berth_schema::name::UserName;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, prlimit};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// Processor time of each of the command's processes: a pack can be small and cost hours to unfold.
const PROCESSOR_SECONDS: u64 = 120;
/// The most memory that git takes for one object, so that a small pack can't unfold to a large one in memory. Of files,
/// the hook refuses those above a sixty-fourth of it.
const LARGEST_OBJECT: &str = "64m";
/// Between a request to end and the end: git takes away what it put aside for a push.
const GRACE: Duration = Duration::from_secs(5);

/// A running command, with the process group that it leads.
pub(super) struct Running {
    child: Child,
    group: Option<Pid>,
}

/// Its three streams.
pub(super) struct Streams {
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
    pub(super) error: ChildStderr,
}

/// A program of git's on a repository.
pub(super) fn git(service: &str, repository: &Path) -> Command {
    let mut command = clean("git");
    let settings = [
        // Whoever owns the repository, it is the one that we were told to serve.
        setting("safe.directory", repository),
        setting("core.bigFileThreshold", "1m"),
        // Unfolded as it comes, an object at a time, and kept as it came: nothing on the disk outgrows what was sent.
        setting("receive.unpackLimit", "1"),
        setting("pack.threads", "1"),
        setting("pack.windowMemory", LARGEST_OBJECT),
    ];
    for value in settings {
        command.arg("-c").arg(value);
    }
    command.arg(service).arg(repository);
    command
}

/// A program with an environment of its own.
pub(super) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "TMPDIR", "BERTH_LOG", "BERTH_WAIT", "BERTH_LOOK", "BERTH_RESOLVER"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOC_LIMIT", LARGEST_OBJECT);
    command
}

fn setting(name: &str, value: impl AsRef<OsStr>) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(name);
    text.push("=");
    text.push(value);
    text
}

/// Starts a command for somebody.
pub(super) fn start(mut command: Command, user: &UserName) -> std::io::Result<(Running, Streams)> {
    command
        .env("BERTH_USER", user.as_str())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that its own children end with it.
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    limit_processor(group);
    let missing = || std::io::Error::other("a stream of the command is missing");
    let streams = Streams {
        input: child.stdin.take().ok_or_else(missing)?,
        output: child.stdout.take().ok_or_else(missing)?,
        error: child.stderr.take().ok_or_else(missing)?,
    };
    Ok((Running { child, group }, streams))
}

/// Its children inherit the limit; it has none yet.
fn limit_processor(pid: Option<Pid>) {
    let maximum = getrlimit(Resource::Cpu).maximum.unwrap_or(u64::MAX).min(PROCESSOR_SECONDS);
    let limit = Rlimit { current: Some(maximum), maximum: Some(maximum) };
    if let Err(error) = prlimit(pid, Resource::Cpu, limit) {
        // It may have ended already.
        tracing::debug!(%error, "a command's processor time is not limited");
    }
}

impl Running {
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it with everything that it started: asked first, killed when that takes too long.
    pub(super) async fn end(mut self) {
        self.signal(Signal::TERM);
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        self.end_rest();
    }

    /// Ends what it left behind in its group.
    pub(super) fn end_rest(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // No such group: all of it has ended.
            let _ = kill_process_group(group, signal);
        }
    }
}
