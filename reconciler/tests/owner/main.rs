//! A state repo that belongs to another user: whoever writes into it, every file stays theirs, and the door works as that
//! user alone. Needs root, since nobody else can be two users.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod door;
mod writers;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A user that no machine has.
const OWNER: u32 = 64_321;

/// A state repo of that user's, and Berth's own folder of root's.
struct Bench {
    folder: TempDir,
}

impl Bench {
    /// `None` where this isn't root.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            berth_testing::skipped("only root can be two users");
            return None;
        }
        let bench = Self { folder: TempDir::new().unwrap() };
        // Another user has to get here, and run the program.
        fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // By a program of its own: a child that another test starts meanwhile would hold our copy open for writing, and
        // nobody could run it.
        good(&Command::new("cp").arg(env!("CARGO_BIN_EXE_berth")).arg(bench.path("berth")).output().unwrap());
        for (path, text) in [
            ("platform.toml", "domain = \"hosting.example.org\"\n"),
            ("users/ann.toml", "role = \"admin\"\n"),
            ("users/bob.toml", ""),
            ("servers/shop.toml", "id = 1\nowner = \"bob\"\n"),
        ] {
            put(&bench.path("first"), path, text);
        }
        fs::write(bench.path("gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
        fs::set_permissions(bench.path("gitconfig"), fs::Permissions::from_mode(0o644)).unwrap();
        let state = bench.state().display().to_string();
        good(&bench.berth(&["init", &state, "--from", bench.path("first").to_str().unwrap()]));
        good(&Command::new("chown").args(["-R", &format!("{OWNER}:{OWNER}"), &state]).output().unwrap());
        good(&bench.berth(&["hook", "install"]));
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("state.git")
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn berth(&self, arguments: &[&str]) -> Output {
        let mut berth = Command::new(self.path("berth"));
        self.prepare(&mut berth).args(arguments).output().unwrap()
    }

    fn git(&self, at: &Path, user: Option<&str>, arguments: &[&str]) -> Output {
        let mut git = Command::new("git");
        self.prepare(&mut git).current_dir(at);
        git.envs(user.map(|user| ("BERTH_USER", user))).args(arguments).output().unwrap()
    }

    /// Runs a program as the owner of the state repo.
    fn as_owner(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        self.prepare(&mut command);
        command.args([&format!("--reuid={OWNER}"), &format!("--regid={OWNER}"), "--clear-groups", program]);
        command
    }

    fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("BERTH_STATE", self.state()).env("BERTH_DATA", self.data()).env("NO_COLOR", "1");
        command.env("GIT_CONFIG_GLOBAL", self.path("gitconfig")).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_AUTHOR_NAME", "Ada").env("GIT_AUTHOR_EMAIL", "ada@example.org");
        command.env("GIT_COMMITTER_NAME", "Ada").env("GIT_COMMITTER_EMAIL", "ada@example.org");
        command.stdin(Stdio::null()).current_dir(self.folder.path())
    }

    /// Clones the state repo as root, and changes a file in a commit of the clone.
    fn clone_and_change(&self, name: &str, file: &str, text: &str) -> PathBuf {
        let clone = self.path(name);
        if !clone.exists() {
            good(&self.git(self.folder.path(), None, &["clone", "-q", self.state().to_str().unwrap(), name]));
        }
        put(&clone, file, text);
        good(&self.git(&clone, None, &["add", "."]));
        good(&self.git(&clone, None, &["commit", "-qm", file]));
        clone
    }

    /// Everything in the state repo that isn't its owner's.
    #[track_caller]
    fn all_is_the_owners(&self) {
        let mut strangers = Vec::new();
        collect(&self.state(), &mut strangers);
        assert!(strangers.is_empty(), "{strangers:#?}");
    }
}

fn collect(path: &Path, strangers: &mut Vec<PathBuf>) {
    let found = fs::symlink_metadata(path).unwrap();
    if (found.uid(), found.gid()) != (OWNER, OWNER) {
        strangers.push(path.to_owned());
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), strangers);
        }
    }
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[track_caller]
fn good(output: &Output) -> String {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    text
}
