//! Pushes with the real git program into a repository with our hooks: what is accepted, what is refused, and what
//! whoever pushes reads. No engine is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod accepted;
mod agree;
mod installed;
mod log;
mod page;
mod planned;
mod proof;
mod proposals;
mod refused;
mod views;
mod why;

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// Generous, for a busy machine: what is waited for comes much sooner.
const PATIENCE: Duration = Duration::from_secs(300);

/// A program that is run to its end, and ended with all that it started when that doesn't come.
trait InTime {
    fn in_time(&mut self) -> Output {
        self.in_time_reading(b"")
    }

    fn in_time_reading(&mut self, input: &[u8]) -> Output;
}

impl InTime for Command {
    fn in_time_reading(&mut self, input: &[u8]) -> Output {
        self.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = self.spawn().unwrap();
        let group = Pid::from_child(&child);
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
        // Who doesn't read it all has its reasons, and says them.
        thread::spawn(move || stdin.write_all(&input));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(child.wait_with_output().unwrap()));
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = kill_process_group(group, Signal::KILL);
            panic!("{self:?} had not ended after {PATIENCE:?}")
        })
    }
}

/// A state repo with hooks, and a clone of it.
struct Bench {
    folder: TempDir,
    bare: PathBuf,
    work: PathBuf,
}

/// What a command said, and whether it succeeded.
struct Said {
    good: bool,
    text: String,
}

/// The admin ann, bob with `bobs`, cyn with `cyns`.
const FILES: [(&str, &str); 7] = [
    ("platform.toml", "domain = \"hosting.example.org\"\n"),
    ("users/ann.toml", "role = \"admin\"\n"),
    ("users/bob.toml", "email = \"bob@example.org\"\n"),
    ("users/cyn.toml", ""),
    ("servers/bobs.toml", "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\n"),
    ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\n"),
    ("docs/welcome.md", "# Welcome\n"),
];

impl Bench {
    fn new() -> Self {
        let bench = Self::without_hooks();
        let said = bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]);
        assert!(said.good, "{}", said.text);
        bench
    }

    fn without_hooks() -> Self {
        Self::holding(&FILES)
    }

    fn holding(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        let first = root.join("first");
        for (path, text) in files {
            put(&first, path, text);
        }
        let bench = Self { bare: root.join("state.git"), work: root.join("work"), folder };
        let (first, bare) = (first.to_str().unwrap(), bench.bare.to_str().unwrap());
        let said = bench.berth(&["init", bare, "--from", first]);
        assert!(said.good, "{}", said.text);
        let cloned = git(bench.folder.path()).args(["clone", "--quiet", bare, "work"]).in_time();
        assert!(cloned.status.success());
        bench
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs `berth` with this bench's data folder and repository.
    fn berth(&self, arguments: &[&str]) -> Said {
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env("BERTH_STATE", &self.bare).env("BERTH_DATA", self.data()).env("NO_COLOR", "1");
        berth.env_remove("BERTH_USER").env_remove("BERTH_LOG");
        Said::of(&berth.args(arguments).in_time())
    }

    /// Runs git in the clone and insists that it succeeds.
    fn git(&self, arguments: &[&str]) -> String {
        let output = git(&self.work).args(arguments).in_time();
        let said = Said::of(&output);
        assert!(said.good, "git {arguments:?}: {}", said.text);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Writes files, or removes those without a text, and commits them.
    fn commit(&self, files: &[(&str, Option<&str>)]) -> String {
        for (path, text) in files {
            match text {
                Some(text) => put(&self.work, path, text),
                None => fs::remove_file(self.work.join(path)).unwrap(),
            }
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes as somebody, or as whoever has the files.
    fn push(&self, user: Option<&str>, arguments: &[&str]) -> Said {
        let mut push = self.pusher(user);
        Said::of(&push.arg("push").args(arguments).in_time())
    }

    fn pusher(&self, user: Option<&str>) -> Command {
        let mut git = git(&self.work);
        git.env("NO_COLOR", "1");
        if let Some(user) = user {
            git.env("BERTH_USER", user);
        }
        git
    }

    /// Commits and pushes to main.
    fn push_change(&self, user: Option<&str>, files: &[(&str, Option<&str>)]) -> Said {
        self.commit(files);
        self.push(user, &["origin", "HEAD:main"])
    }

    fn tip(&self) -> String {
        let output = git(&self.bare).args(["rev-parse", "main"]).in_time();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn hook(&self, name: &str) -> PathBuf {
        self.bare.join("hooks").join(name)
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        // `remote:` lines are padded, so that they wipe out a progress line.
        let lines = String::from_utf8_lossy(&text).into_owned();
        let text = lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        Self { good: output.status.success(), text }
    }

    #[track_caller]
    fn accepted(&self, parts: &[&str]) {
        assert!(self.good, "{}", self.text);
        self.has(parts);
    }

    #[track_caller]
    fn refused(&self, parts: &[&str]) {
        assert!(!self.good, "{}", self.text);
        self.has(&["remote: Refused; nothing was changed.", "pre-receive hook declined"]);
        self.has(parts);
    }

    #[track_caller]
    fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no `{part}` in\n{}", self.text);
        }
    }
}

/// Git with a pinned identity and nobody's configuration.
fn git(at: &Path) -> Command {
    let mut git = Command::new("git");
    let ours = |name: &str| name.starts_with("GIT_") || name.starts_with("BERTH_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(&name.to_string_lossy())) {
        git.env_remove(name);
    }
    git.current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .env("GIT_TERMINAL_PROMPT", "0");
    git
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
