//! The program that a command runs: which, with what, and how it is ended. No shell, and nothing of our own environment.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use berth_host::process::Group;
use berth_repo::git::{Git, Limits};
use berth_schema::name::UserName;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// Processor time of each of the command's processes: a pack can be small and cost hours to unfold.
const PROCESSOR_SECONDS: u64 = 120;
/// Memory of each of the command's processes, in bytes: several times what a push needs where there are ten thousand servers.
const MEMORY: u64 = 2 << 30;
/// The most memory that git takes for one object, so that a small pack can't unfold to a large one in memory. Of files,
/// the hook refuses those above a sixty-fourth of it.
const LARGEST_OBJECT: &str = "64m";
/// Time between a request to end and the end: git takes away what it put aside for a push.
const GRACE: Duration = Duration::from_secs(5);

/// Time between two looks at whether it has ended with everything that it started.
const GLANCE: Duration = Duration::from_millis(10);

/// A running command, with the process group that it leads.
pub(super) struct Running {
    child: Child,
    group: Option<Group>,
}

/// Its three streams.
pub(super) struct Streams {
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
    pub(super) error: ChildStderr,
}

/// A program of git's on a repository, which ends after `whole`.
pub(super) fn git(service: &str, repository: &Path, whole: Duration) -> Command {
    Command::from(service_on(service, repository, whole))
}

/// The same, for a process of ours that becomes it.
pub fn service_on(service: &str, repository: &Path, whole: Duration) -> std::process::Command {
    let git = Git::nowhere(whole)
        .passing_on(&OURS)
        .limits(Limits { object: LARGEST_OBJECT, file: "1m" })
        // Whoever owns the repository, it is the one that we were told to serve.
        .config("safe.directory", repository)
        // Unfolded as it comes, an object at a time, and kept as it came: nothing on the disk outgrows what was sent.
        .config("receive.unpackLimit", "1");
    let mut command = git.program(service);
    command.arg(repository);
    command
}

/// Variables that our own program gets from our environment, as a hook or by itself.
const OURS: [&str; 4] = ["BERTH_WAIT", "BERTH_LOOK", "BERTH_RESOLVER", "BERTH_LOG"];

/// Our own program with an environment of its own.
pub(super) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH"].iter().chain(&OURS) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent").env("GIT_ALLOC_LIMIT", LARGEST_OBJECT);
    command
}

/// Starts a command for somebody, with a folder for its temporary files.
pub(super) fn start(
    mut command: Command,
    user: &UserName,
    scratch: &Path,
) -> std::io::Result<(Running, Streams)> {
    command
        .env("BERTH_USER", user.as_str())
        .env("TMPDIR", scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that its own children end with it.
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let group = child.id().and_then(Group::led_by);
    let limited =
        |group: Group| group.limit_processor(PROCESSOR_SECONDS).and_then(|()| group.limit_memory(MEMORY));
    if let Some(Err(error)) = group.map(limited) {
        // It may have ended already.
        tracing::debug!(%error, "a command's processor time and memory are not limited");
    }
    let missing = || std::io::Error::other("a stream of the command is missing");
    let streams = Streams {
        input: child.stdin.take().ok_or_else(missing)?,
        output: child.stdout.take().ok_or_else(missing)?,
        error: child.stderr.take().ok_or_else(missing)?,
    };
    Ok((Running { child, group }, streams))
}

impl Running {
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it with everything that it started: asked first, killed when that takes too long. Git doesn't wait for its hooks when it is
    /// asked, and a hook that is killed may leave a branch locked.
    pub(super) async fn end(mut self) {
        if let Some(group) = self.group {
            group.ask();
            let all_end = async {
                let _ = self.child.wait().await;
                while group.is_running() {
                    tokio::time::sleep(GLANCE).await;
                }
            };
            let _ = tokio::time::timeout(GRACE, all_end).await;
        }
        self.end_rest();
    }

    /// Ends what it left behind in its group.
    pub(super) fn end_rest(&self) {
        if let Some(group) = self.group {
            group.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    #[tokio::test]
    async fn what_a_command_started_ends_its_work_after_the_command_itself() {
        let scratch = tempfile::tempdir().unwrap();
        // The command is ended by the signal. What it started goes on until nobody waits for the command any more, and works on then.
        let script = r#"
            sh -c '
                finish() {
                    while kill -0 $PPID 2>/dev/null; do :; done
                    i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); done
                    echo done > "$TMPDIR/done"; exit
                }
                trap finish TERM
                echo ready
                while :; do sleep 600 & wait; done
            ' &
            wait"#;
        let mut command = clean("sh");
        command.args(["-c", script]);
        let (running, streams) = start(command, &"bob".parse().unwrap(), scratch.path()).unwrap();
        let mut output = BufReader::new(streams.output);
        output.read_line(&mut String::new()).await.unwrap();
        running.end().await;
        assert_eq!(std::fs::read_to_string(scratch.path().join("done")).unwrap(), "done\n");
    }
}
