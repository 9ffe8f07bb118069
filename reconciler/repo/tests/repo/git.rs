//! Git: the real program in a temporary folder, with a pinned identity and clock and nobody's configuration.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use berth_repo::{Revision, Signature, StateRepo};
use tempfile::TempDir;

/// A work tree and the bare repository that it pushes to.
pub(crate) struct Git {
    _folder: TempDir,
    pub(crate) work: PathBuf,
    pub(crate) bare: PathBuf,
}

/// The moment at which everything happens.
pub(crate) const NOW: i64 = 1_700_000_000;

pub(crate) fn command(at: &Path) -> Command {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        git.env_remove(name);
    }
    git.current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_AUTHOR_DATE", format!("{NOW} +0200"))
        .env("GIT_COMMITTER_NAME", "Door")
        .env("GIT_COMMITTER_EMAIL", "door@example.org")
        .env("GIT_COMMITTER_DATE", format!("{NOW} +0000"))
        .env("GIT_TERMINAL_PROMPT", "0");
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
    command(at).args(arguments).output().unwrap()
}

/// Runs git with something to read.
pub(crate) fn feed(at: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut child = command(at).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
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

    /// With a small organisation committed and pushed: nine files.
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
        let path = self.work.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
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
