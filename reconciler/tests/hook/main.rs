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
mod beside;
mod bounds;
mod certificates;
mod hostile;
mod ids;
mod installed;
mod log;
mod names;
mod page;
mod planned;
mod proof;
mod proposals;
mod refused;

mod views;
mod why;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use berth_testing::organisation::FILES;
use berth_testing::{InTime, git, put};
use tempfile::TempDir;

/// A state repo with hooks, and a clone of it.
struct Bench {
    folder: TempDir,
    bare: PathBuf,
    work: PathBuf,
}

/// Output of a command, and whether it succeeded.
struct Said {
    good: bool,
    text: String,
}

impl Bench {
    fn new() -> Self {
        let bench = Self::without_hooks();
        let said = bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]);
        assert!(said.good, "{}", said.text);
        bench
    }

    fn without_hooks() -> Self {
        Self::holding(&[&FILES[..], &[("docs/welcome.md", "# Welcome\n")]].concat())
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
        Said::of(&self.command(arguments).in_time())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env("BERTH_STATE", &self.bare).env("BERTH_DATA", self.data()).env("NO_COLOR", "1");
        berth.env_remove("BERTH_USER").env_remove("BERTH_LOG").args(arguments);
        berth
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
