//! Programs: run to their end under a deadline, or waited for by what they bring about.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Time that an ordinary command may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that is waited for.
const GLANCE: Duration = Duration::from_millis(20);

/// A program that has ended.
#[derive(Debug)]
pub struct Ran {
    what: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Asserts that it succeeded.
    #[track_caller]
    pub fn good(self) -> Self {
        self.coded(0)
    }

    /// Asserts that it ended with `code`.
    #[track_caller]
    pub fn coded(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that it said `words`, on either stream.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stdout.contains(words) || self.stderr.contains(words), "`{words}` is not in: {self}");
        self
    }

    /// Returns `true` if it succeeded.
    pub fn is_good(&self) -> bool {
        self.code == Some(0)
    }

    /// Both streams, standard output first.
    pub fn words(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, code, stdout, stderr } = self;
        write!(f, "`{what}` ended with {code:?}\n--- out\n{stdout}\n--- err\n{stderr}")
    }
}

/// Runs a command to its end; one that outlives the deadline is killed and fails the story.
#[track_caller]
pub fn run(command: &mut Command, deadline: Duration) -> Ran {
    let what = told(command);
    // Files and not pipes: nobody needs to read while it runs, and a grandchild that keeps one open holds nobody up.
    let (mut out, mut err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a file"))
        .stderr(err.try_clone().expect("a file"));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("start `{what}`: {error}"));
    let status = wait(&mut child, deadline);
    let (stdout, stderr) = (text_of(&mut out), text_of(&mut err));
    match status {
        Some(status) => Ran { what, code: status.code(), stdout, stderr },
        None => {
            let _ = child.kill();
            let _ = child.wait();
            panic!("`{what}` did not end within {deadline:?}\n--- out\n{stdout}\n--- err\n{stderr}");
        }
    }
}

/// Waits for a child; `None` when it outlives the deadline.
pub fn wait(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + deadline;
    let mut glance = Duration::from_millis(1);
    loop {
        match child.try_wait().expect("wait for a child") {
            Some(status) => return Some(status),
            None if Instant::now() > until => return None,
            None => thread::sleep(glance),
        }
        glance = (glance * 2).min(GLANCE);
    }
}

/// Looks until there is something to see, and returns it. A story never just waits: it says what for.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, &mut look)
}

/// `eventually`, with a deadline of its own.
#[track_caller]
pub fn within<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + deadline;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < until, "{what}: not within {deadline:?}");
        thread::sleep(GLANCE);
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    eventually(what, || so().then_some(()));
}

/// Sends a signal to a process that this test started. That it has ended meanwhile is no failure.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Returns `true` for a process that is there and not merely waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold anything, so the state is sought behind the last bracket.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Far beyond what anything takes; only a hang comes near it.
const LONGEST: Duration = Duration::from_secs(300);

/// A program that is run to its end, and ended with all that it started when that doesn't come.
pub trait InTime {
    /// Runs it without anything to read.
    #[track_caller]
    fn in_time(&mut self) -> Output {
        self.in_time_reading(b"")
    }

    /// Runs it with something to read.
    #[track_caller]
    fn in_time_reading(&mut self, input: &[u8]) -> Output;
}

impl InTime for Command {
    fn in_time_reading(&mut self, input: &[u8]) -> Output {
        self.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = self.spawn().expect("a program");
        let group = Pid::from_child(&child);
        let (mut stdin, input) = (child.stdin.take().expect("its input"), input.to_vec());
        // A program that doesn't read it all has its reasons, and tells them.
        thread::spawn(move || stdin.write_all(&input));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(child.wait_with_output().expect("its output")));
        told.recv_timeout(LONGEST).unwrap_or_else(|_| {
            let _ = kill_process_group(group, Signal::KILL);
            panic!("{self:?} had not ended after {LONGEST:?}")
        })
    }
}

fn told(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewind");
    file.read_to_end(&mut bytes).expect("read");
    String::from_utf8_lossy(&bytes).into_owned()
}
