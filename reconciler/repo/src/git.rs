//! The git program, run in one way: with an environment of its own, nobody's configuration, no prompt, and a deadline.
//!
//! Git does the work that is its own: walking history, packing, fetching, serving. Nothing that this program inherited
//! counts: the environment that git gives to a hook leads to the objects of a push, and a person's settings may lead
//! anywhere. So each call says which objects it sees and which settings it has. Settings go through the environment, which
//! only this user and root can read, and not through the command line, which everybody can.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use berth_host::process::{Leader, Stopped};
use berth_schema::text::safe_line;

/// Objects that git sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objects {
    /// The repository's own.
    Own,
    /// The repository's, and those of the push for which git runs this program as a hook.
    OfPush,
    /// The repository's, and those in this folder.
    Beside(PathBuf),
}

/// Limits on git's use of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory for one object, in git's notation: a small pack can't unfold to a large object in memory.
    pub object: &'static str,
    /// Size above which a file is never read into memory as a whole, in git's notation.
    pub file: &'static str,
}

/// A way to run git: its repository, objects, settings, environment and deadline.
#[derive(Debug, Clone)]
pub struct Git {
    repository: Option<PathBuf>,
    objects: Objects,
    settings: Vec<(String, OsString)>,
    variables: Vec<(OsString, OsString)>,
    deadline: Duration,
    stopped: Option<Arc<Stopped>>,
}

/// Git couldn't do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GitError {
    #[error("cannot run `git {command}`")]
    Run {
        command: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("`git {command}` failed ({status}){}{words}", if words.is_empty() { "" } else { ": " })]
    Failed { command: &'static str, status: ExitStatus, words: String },
    #[error("`git {command}` took more than {} s and was ended", deadline.as_secs())]
    Deadline { command: &'static str, deadline: Duration },
    #[error("cannot understand the answer of `git {command}`")]
    Answer { command: &'static str },
}

/// Outcome of a call of git.
#[derive(Debug)]
pub struct Ended {
    command: &'static str,
    /// Its exit code, or the signal that ended it.
    pub status: ExitStatus,
    words: String,
}

/// The answer of a call that was heard to its end.
#[derive(Debug)]
pub struct Answer {
    /// Outcome of the call.
    pub ended: Ended,
    /// Its standard output.
    pub output: Vec<u8>,
}

/// A call of git that goes on. Dropping it kills git and all that git started.
#[derive(Debug)]
pub struct Running {
    command: &'static str,
    leader: Leader,
    words: JoinHandle<String>,
    until: Instant,
    deadline: Duration,
    stopped: Option<Arc<Stopped>>,
}

/// Variables that git gets from our environment: the places of its programs and of their temporary files.
const PASSED_ON: [&str; 2] = ["PATH", "TMPDIR"];

/// Variables by which git leads a hook to the objects of a push.
const OF_PUSH: [&str; 3] =
    ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"];

/// Bytes kept of git's words on standard error.
const WORDS: u64 = 64 << 10;

impl Git {
    /// Git in the repository with this git folder. Each call may take as long as `deadline`, and no longer.
    pub fn at(git_dir: &Path, deadline: Duration) -> Self {
        Self { repository: Some(git_dir.to_owned()), ..Self::nowhere(deadline) }
    }

    /// Git in no repository, for commands that are told of one in their arguments, or need none.
    pub fn nowhere(deadline: Duration) -> Self {
        Self {
            repository: None,
            objects: Objects::Own,
            settings: Vec::new(),
            variables: Vec::new(),
            deadline,
            stopped: None,
        }
    }

    /// The same with other objects in sight.
    #[must_use]
    pub fn objects(self, objects: Objects) -> Self {
        Self { objects, ..self }
    }

    /// The same with a setting.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The same with those of these variables that we have ourselves.
    #[must_use]
    pub fn passing_on(mut self, names: &[&str]) -> Self {
        self.variables.extend(of_ours(names));
        self
    }

    /// The same within limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        let Limits { object, file } = limits;
        self.variable("GIT_ALLOC_LIMIT", object)
            .config("core.bigFileThreshold", file)
            .config("pack.threads", "1")
            .config("pack.windowMemory", object)
    }

    /// The same until somebody drops the other half of `stopped`.
    #[must_use]
    pub fn until(self, stopped: impl Into<Arc<Stopped>>) -> Self {
        Self { stopped: Some(stopped.into()), ..self }
    }

    /// The program with its environment, for a caller that starts it in its own way. The caller sees to a deadline, and ends
    /// everything that git starts.
    pub fn program(&self, command: &str) -> Command {
        let mut git = Command::new("git");
        git.env_clear().envs(of_ours(&PASSED_ON)).envs([
            ("LC_ALL", "C.UTF-8"),
            ("HOME", "/nonexistent"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            // A replacement would show other objects than those that are going to count.
            ("GIT_NO_REPLACE_OBJECTS", "1"),
        ]);
        git.envs(self.repository.iter().map(|git_dir| ("GIT_DIR", git_dir)));
        match &self.objects {
            Objects::Own => {}
            Objects::OfPush => {
                git.envs(of_ours(&OF_PUSH));
            }
            Objects::Beside(folder) => {
                git.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", folder);
            }
        }
        git.envs(self.variables.iter().map(|(name, value)| (name, value)));
        git.env("GIT_CONFIG_COUNT", self.settings.len().to_string());
        for (at, (name, value)) in self.settings.iter().enumerate() {
            git.env(format!("GIT_CONFIG_KEY_{at}"), name).env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        git.arg(command).stdin(Stdio::null());
        git
    }

    /// Runs a command, and hears its answer to the end. The answer tells whether it succeeded.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        command: &'static str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Answer, GitError> {
        let running = self.spawn(command, arguments, Stdio::null(), Stdio::piped())?;
        let (ended, output) = running.heard(None, |output| {
            let mut bytes = Vec::new();
            output.read_to_end(&mut bytes).map(|_| bytes)
        })?;
        Ok(Answer { ended, output: output? })
    }

    /// Runs a command that must succeed and reads `input`, while `read` reads its answer.
    pub fn stream<T, A: AsRef<OsStr>>(
        &self,
        command: &'static str,
        arguments: impl IntoIterator<Item = A>,
        input: Vec<u8>,
        read: impl FnOnce(&mut BufReader<ChildStdout>) -> io::Result<T>,
    ) -> Result<T, GitError> {
        let running = self.spawn(command, arguments, Stdio::piped(), Stdio::piped())?;
        let (ended, answer) = running.heard(Some(input), read)?;
        ended.expect_success()?;
        answer
    }

    /// Starts a command with these streams. Its standard error is heard.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        command: &'static str,
        arguments: impl IntoIterator<Item = A>,
        input: impl Into<Stdio>,
        output: impl Into<Stdio>,
    ) -> Result<Running, GitError> {
        let mut git = self.program(command);
        git.args(arguments).stdin(input).stdout(output).stderr(Stdio::piped());
        let mut leader = Leader::start(&mut git).map_err(|source| GitError::Run { command, source })?;
        let error = leader.error();
        let words = thread::spawn(move || error.map(hear).unwrap_or_default());
        let (deadline, stopped) = (self.deadline, self.stopped.clone());
        Ok(Running { command, leader, words, until: Instant::now() + deadline, deadline, stopped })
    }
}

impl Running {
    /// Standard input of the command, once, where it was started with a pipe.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.leader.input()
    }

    /// Standard output of the command, in the same way.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.leader.output()
    }

    /// Waits for the command's end.
    pub fn wait(self) -> Result<Ended, GitError> {
        let Self { command, leader, words, until, deadline, stopped } = self;
        let status = leader.wait(until, stopped.as_deref());
        let status = status.map_err(|source| GitError::Run { command, source })?;
        // The words end with the last process of the group.
        let words = words.join().unwrap_or_default();
        match status {
            Some(status) => Ok(Ended { command, status, words }),
            None => Err(GitError::Deadline { command, deadline }),
        }
    }

    /// Feeds the command and reads its answer until its end. The error inside is one of the reading.
    fn heard<T>(
        mut self,
        input: Option<Vec<u8>>,
        read: impl FnOnce(&mut BufReader<ChildStdout>) -> io::Result<T>,
    ) -> Result<(Ended, Result<T, GitError>), GitError> {
        let command = self.command;
        let (stdin, stdout) = (self.input(), self.output());
        let failed = |source| GitError::Run { command, source };
        thread::scope(|scope| {
            // Beside the reading: two full pipes would wait for each other for ever.
            let feeding = scope.spawn(move || match (stdin, input) {
                (Some(mut stdin), Some(input)) => stdin.write_all(&input),
                _ => Ok(()),
            });
            let waiting = scope.spawn(|| self.wait());
            let answer = match stdout {
                Some(stdout) => read(&mut BufReader::new(stdout)),
                None => Err(io::Error::other("it has no standard output")),
            };
            let broken = || GitError::Answer { command };
            let ended = waiting.join().map_err(|_| broken())??;
            let fed = feeding.join().map_err(|_| broken())?;
            Ok((ended, answer.and_then(|answer| fed.map(|()| answer)).map_err(failed)))
        })
    }
}

impl Ended {
    /// An error unless the command succeeded.
    pub fn expect_success(self) -> Result<(), GitError> {
        if self.status.success() { Ok(()) } else { Err(self.into_error()) }
    }

    /// The error of a command that failed.
    pub fn into_error(self) -> GitError {
        let Self { command, status, words } = self;
        GitError::Failed { command, status, words: last_words(&words) }
    }
}

fn of_ours(names: &[&str]) -> Vec<(OsString, OsString)> {
    names.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect()
}

/// Hears all, and keeps the beginning: what isn't read would stop git.
fn hear(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // A failure to read loses words alone.
    let _ = from.by_ref().take(WORDS).read_to_end(&mut bytes);
    let _ = io::copy(&mut from, &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lines that git adds to the words of ssh, and that would crowd them out of a single line.
const BOILERPLATE: [&str; 2] =
    ["Please make sure you have the correct access rights", "and the repository exists."];

/// Git's last words, on one line, without anything that others could put there to fool a terminal.
fn last_words(words: &str) -> String {
    let tells = |line: &&str| !line.is_empty() && !BOILERPLATE.contains(line);
    let lines: Vec<&str> = words.lines().map(str::trim).filter(tells).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(3)).copied().collect::<Vec<_>>().join("; ");
    safe_line(&last, 500)
}
