//! Git: the real program in a temporary folder, with a pinned clock.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use berth_repo::{Revision, Signature, StateRepo, Words};
use berth_testing::InTime as _;
use berth_testing::git::signed;
use tempfile::TempDir;

/// A work tree and the bare repository that it pushes to.
pub(crate) struct Git {
    _folder: TempDir,
    pub(crate) work: PathBuf,
    pub(crate) bare: PathBuf,
}

/// The moment at which everything happens.
pub(crate) const NOW: i64 = 1_700_000_000;

/// Git with a pinned clock; what it commits is the door's.
pub(crate) fn command(at: &Path) -> Command {
    let mut git = berth_testing::git(at);
    signed(&mut git, "COMMITTER", "Door");
    git.env("GIT_AUTHOR_DATE", format!("{NOW} +0200")).env("GIT_COMMITTER_DATE", format!("{NOW} +0000"));
    git
}

/// Runs git and insists that it succeeds.
pub(crate) fn git(at: &Path, arguments: &[&str]) -> String {
    let output = attempt(at, arguments);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {talk}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs git and reports how it went.
pub(crate) fn attempt(at: &Path, arguments: &[&str]) -> Output {
    command(at).args(arguments).in_time()
}

/// Runs git with something to read.
pub(crate) fn feed(at: &Path, arguments: &[&str], input: &[u8]) -> String {
    let output = command(at).args(arguments).in_time_reading(input);
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

impl Git {
    /// A bare repository made by Berth, and an empty work tree beside it.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (work, bare) = (folder.path().join("work"), folder.path().join("state.git"));
        StateRepo::init(&bare).unwrap();
        git(folder.path(), &["init", "--quiet", "--initial-branch=main", "work"]);
        git(&work, &["remote", "add", "origin", bare.to_str().unwrap()]);
        Self { _folder: folder, work, bare }
    }

    /// Repository with a small organisation committed and pushed: nine files.
    pub(crate) fn with_state() -> (Self, Revision) {
        let git = Self::new();
        git.write("platform.toml", "domain = \"example.org\"\n[quota]\nservers = 9\ncpus = 9\n");
        for name in ["ada", "bob", "eve"] {
            git.write(&format!("users/{name}.toml"), format!("email = \"{name}@example.org\"\n"));
        }
        for id in 1..=5 {
            git.write(&format!("servers/s{id}.toml"), format!("id = {id}\nowner = \"ada\"\n"));
        }
        let revision = git.push("first");
        (git, revision)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        berth_testing::put(&self.work, path, text);
    }

    /// Commits everything in the work tree.
    pub(crate) fn commit(&self, message: &str) -> Revision {
        git(&self.work, &["add", "--all"]);
        git(&self.work, &["commit", "--quiet", "--allow-empty", "--message", message]);
        git(&self.work, &["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Commits everything in the work tree and pushes it.
    pub(crate) fn push(&self, message: &str) -> Revision {
        let revision = self.commit(message);
        git(&self.work, &["push", "--quiet", "origin", "main"]);
        revision
    }

    pub(crate) fn open(&self) -> StateRepo {
        StateRepo::open(&self.bare).unwrap()
    }

    /// No object is missing or malformed, as git sees it.
    pub(crate) fn check(&self) {
        git(&self.bare, &["fsck", "--strict", "--full"]);
    }
}

pub(crate) fn ada() -> Signature {
    Signature::at("Ada", "ada@example.org", NOW)
}

pub(crate) fn door() -> Signature {
    Signature::at("Berth form", "form@berth.invalid", NOW + 1)
}

pub(crate) fn words<'a>(author: &'a Signature, committer: &'a Signature, message: &'a str) -> Words<'a> {
    Words { author, committer, message }
}
