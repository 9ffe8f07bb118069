//! A forge (a bare repository on disk) and a real `berth remote` that follows it. No engine is needed, and nothing leaves this
//! machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod again;
mod following;
mod forge_page;
mod over_ssh;
mod over_tls;
mod pulls;
mod refusing;
mod secrets;
mod shown;
mod telling;
mod webhook;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use berth_secrets::Secrets;
use berth_testing::{InTime, git, put};
use berth_wire::Standing;
use tempfile::TempDir;

/// Far beyond what anything here takes; only a hang comes near it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A forge's repository, somebody's clone of it, and the state repo that follows it.
struct Bench {
    folder: TempDir,
    forge: PathBuf,
    work: PathBuf,
    state: PathBuf,
}

/// A `berth remote` that runs; ends with this value.
struct Follower {
    child: Child,
    log: PathBuf,
}

impl Bench {
    /// Bench with these lines below `[remote]`, besides its `url`.
    fn new(remote: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().to_owned();
        let bench = Self {
            folder,
            forge: root.join("forge.git"),
            work: root.join("work"),
            state: root.join("state.git"),
        };
        git(&root).args(["init", "--quiet", "--bare", "-b", "main", "forge.git"]).in_time();
        git(&root).args(["clone", "--quiet", "forge.git", "work"]).in_time();
        bench.git(&["checkout", "--quiet", "-B", "main"]);
        bench.push(&[
            ("platform.toml", &platform(&bench.forge, remote)),
            ("users/ann.toml", "role = \"admin\"\n"),
            ("servers/shop.toml", "id = 1\nowner = \"ann\"\n"),
        ]);
        let cloned = git(&root).args(["clone", "--quiet", "--bare", "forge.git", "state.git"]).in_time();
        assert!(cloned.status.success(), "{cloned:?}");
        bench
    }

    /// Lets the state repo follow its forge at another URL, with these lines besides.
    fn move_to(&self, url: &str, remote: &str) {
        let forge = self.forge.to_str().unwrap();
        self.push(&[("platform.toml", &platform(Path::new(url), remote))]);
        let fetched = git(&self.state).args(["fetch", "--quiet", forge, "main:main"]).in_time();
        assert!(fetched.status.success(), "{fetched:?}");
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Stores a secret as an operator does.
    fn secret(&self, name: &str, text: &str) {
        Secrets::of(&self.data()).set(&name.parse().unwrap(), text.as_bytes(), None).unwrap();
    }

    fn berth(&self) -> Command {
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env("BERTH_STATE", &self.state).env("BERTH_DATA", self.data()).env("NO_COLOR", "1");
        // An engine that isn't there: nothing here may need one.
        berth.env("DOCKER_HOST", format!("unix://{}", self.folder.path().join("no-engine.sock").display()));
        for name in ["BERTH_USER", "BERTH_LOG", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            berth.env_remove(name);
        }
        berth
    }

    fn follow(&self) -> Follower {
        self.follow_with(&[])
    }

    fn follow_with(&self, environment: &[(&str, &Path)]) -> Follower {
        let log =
            self.folder.path().join(format!("log-{}", fs::read_dir(self.folder.path()).unwrap().count()));
        let child = self
            .berth()
            .arg("remote")
            .env("BERTH_LOG", "debug")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Follower { child, log }
    }

    /// Runs git in the clone and insists that it succeeds.
    fn git(&self, arguments: &[&str]) -> String {
        let output = git(&self.work).args(arguments).in_time();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Commits files, without a text removes them, and returns the commit.
    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            match text.is_empty() {
                true => fs::remove_file(self.work.join(path)).unwrap(),
                false => put(&self.work, path, text),
            }
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits files and pushes them to the forge.
    fn push(&self, files: &[(&str, &str)]) -> String {
        let tip = self.commit(files);
        self.git(&["push", "--quiet", "origin", "HEAD:main"]);
        tip
    }

    /// Commit of `main` in the state repo.
    fn main(&self) -> String {
        let output = git(&self.state).args(["rev-parse", "main"]).in_time();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn has(&self, object: &str) -> bool {
        git(&self.state).args(["cat-file", "-e", object]).in_time().status.success()
    }

    fn standing(&self) -> Standing {
        Standing::read(&self.data().join("remote")).unwrap_or_default()
    }

    #[track_caller]
    fn until_main_is(&self, tip: &str) {
        until(|| self.main() == tip, || format!("main at {tip}; {:#?}", self.standing()));
    }

    /// Waits until what is known of the forge is so.
    #[track_caller]
    fn until(&self, so: impl Fn(&Standing) -> bool) -> Standing {
        until(|| so(&self.standing()), || format!("what is known: {:#?}", self.standing()));
        self.standing()
    }
}

impl Follower {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Asks it to end, as an operator does, and waits.
    fn end(mut self) -> String {
        self.stop();
        self.log()
    }

    fn stop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        self.ended();
    }

    /// Waits until it has ended.
    fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if start.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                assert!(std::thread::panicking(), "`berth remote` does not end: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for a condition; says what was waited for when it doesn't come.
#[track_caller]
fn until(so: impl Fn() -> bool, what: impl Fn() -> String) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {}", what());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn platform(forge: &Path, remote: &str) -> String {
    format!("domain = \"hosting.example.org\"\n[remote]\nurl = \"{}\"\n{remote}", forge.display())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
