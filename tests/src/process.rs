//! Programs: run to their end under a deadline, or waited for by what they bring about.

use std::ffi::OsStr;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long an ordinary command may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for.
const GLANCE: Duration = Duration::from_millis(20);

/// A program that has ended.
#[derive(Debug)]
pub struct Ran {
    what: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
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

    /// Whether it succeeded.
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
            None => std::thread::sleep(glance),
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
        std::thread::sleep(GLANCE);
    }
}

/// Sends a signal to a process that this test started. That it has ended meanwhile is no failure.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process is there and not merely waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold anything, so the state is sought behind the last bracket.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Every process of the machine.
pub fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of some processes.
pub fn children_of(parents: &[u32]) -> Vec<u32> {
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // State and parent follow the name, which is in brackets and may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    processes()
        .into_iter()
        .filter(|pid| parent(pid).is_some_and(|parent| parents.contains(&parent)))
        .collect()
}

/// How a child that was waited for has ended, in words.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {signal:?}"),
    }
}

/// A program that `cargo build` puts beside this test's own.
pub fn built(program: &str) -> PathBuf {
    let path = build_folder().join(program);
    let build = "build it first: cargo build -p berth -p berth-runtime -p berth-ssh-router";
    assert!(path.is_file(), "{} is missing; {build}", path.display());
    path
}

/// The folder of the built programs: `debug` or `release` in cargo's target folder.
pub fn build_folder() -> PathBuf {
    let own = std::env::current_exe().expect("our own path");
    // `deps/stories-…` below it.
    own.ancestors().nth(2).expect("a build folder").to_owned()
}

/// Where engines and platforms live: below cargo's target folder, or, where that lies too deep for the paths of sockets
/// (107 bytes at most), in a folder of its own that is named for it.
pub fn stories_folder() -> PathBuf {
    let below = build_folder().parent().expect("a target folder").join("stories");
    if below.as_os_str().len() <= 45 {
        return below;
    }
    let mut hasher = std::hash::DefaultHasher::new();
    below.hash(&mut hasher);
    Path::new("/var/tmp").join(format!("berth-stories-{:016x}", hasher.finish()))
}

/// A folder that goes when it is dropped, or when a later run finds that its process is gone.
pub fn scratch() -> TempDir {
    let own = stories_folder().join("tmp").join(std::process::id().to_string());
    std::fs::create_dir_all(&own).expect("a folder");
    tempfile::Builder::new().prefix("s-").tempdir_in(own).expect("a folder")
}

/// The root of the source tree.
pub fn source_tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
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
