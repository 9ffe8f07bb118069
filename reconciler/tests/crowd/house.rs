//! A state repo with many members, a door to it, and people with clones.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use berth_host::{Owner, Queue, Ticket, Waited};
use berth_testing::{InTime as _, git, put, until};
use tempfile::TempDir;

use super::bridge::Bridge;

/// Time that a crowd may take on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) struct House {
    pub(crate) folder: TempDir,
    door: Child,
    pub(crate) bridge: Bridge,
}

/// Somebody's clone.
pub(crate) struct Person<'h> {
    pub(crate) house: &'h House,
    pub(crate) name: String,
    pub(crate) clone: PathBuf,
}

/// Output of git, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) good: bool,
    pub(crate) text: String,
}

impl House {
    /// So many members `u1`, `u2`, … with a server of their name each, and the admin `ann`.
    pub(crate) fn of(members: usize, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let first = folder.path().join("first");
        put(&first, "platform.toml", "domain = \"apps.example.org\"\n\n[quota]\ndomains = 1000\n");
        put(&first, "users/ann.toml", "role = \"admin\"\n");
        for n in 1..=members {
            put(&first, &format!("users/u{n}.toml"), "");
            put(&first, &format!("servers/u{n}.toml"), server(n, "1 GiB"));
        }
        let root = folder.path();
        let berth = || {
            let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
            berth.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
            berth.arg("--state").arg(root.join("state.git")).arg("--data").arg(root.join("data"));
            berth
        };
        let made = berth().arg("init").arg(root.join("state.git")).arg("--from").arg(&first).in_time();
        assert!(made.status.success(), "{made:?}");
        let log = fs::File::create(root.join("log")).unwrap();
        let mut door = berth();
        door.envs(environment.iter().copied()).arg("git");
        for (flag, at) in [("--socket-dir", "door"), ("--gate-folder", "gate"), ("--panel-folder", "panel")] {
            door.arg(flag).arg(root.join(at));
        }
        let door = door.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let socket = root.join("door/git.sock");
        until("the door opens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        let bridge = Bridge::to(&socket);
        Self { folder, door, bridge }
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.folder.path().join("state.git")
    }

    /// The program, with nothing of the environment that the tests run in.
    pub(crate) fn berth(&self) -> Command {
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        berth
    }

    pub(crate) fn view(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("data/views/{name}.git"))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn door(&self) -> u32 {
        self.door.id()
    }

    /// Runs git in the state repo.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let ran = Ran::of(&git(&self.repo()).args(arguments).in_time());
        assert!(ran.good, "git {arguments:?}: {}", ran.text);
        ran.text
    }

    /// The subjects of all commits of `main`, with how often each is there.
    pub(crate) fn subjects(&self) -> HashMap<String, usize> {
        let mut subjects = HashMap::new();
        for subject in self.git(&["log", "--format=%s", "main"]).lines() {
            *subjects.entry(subject.to_owned()).or_default() += 1;
        }
        subjects
    }

    pub(crate) fn read(&self, path: &str) -> String {
        self.git(&["show", &format!("main:{path}")])
    }

    /// Clones what somebody may see.
    pub(crate) fn person(&self, name: &str) -> Person<'_> {
        self.person_at(name, name)
    }

    pub(crate) fn person_at(&self, name: &str, folder: &str) -> Person<'_> {
        let clone = self.folder.path().join("clones").join(folder);
        fs::create_dir_all(clone.parent().unwrap()).unwrap();
        let mut cloning = git(self.folder.path());
        let ran = Ran::of(&cloning.args(["clone", "--quiet", &self.bridge.url(name)]).arg(&clone).in_time());
        assert!(ran.good, "{}{}", ran.text, self.bridge.heard(name));
        Person { house: self, name: name.to_owned(), clone }
    }

    /// Lines up for `main` as one of Berth's processes does, and waits for the turn.
    pub(crate) fn turn(&self) -> Ticket {
        let repo = self.repo();
        let queue = Queue::new(repo.join("berth-queue/main"), 1);
        let ticket = queue.line_up(Owner::of(&repo).unwrap()).unwrap();
        assert_eq!(ticket.wait(LONG, |_| {}).unwrap(), Waited::Turn);
        ticket
    }

    /// Number of those who are in line for `main`, whoever has the turn among them.
    pub(crate) fn in_line(&self) -> usize {
        let files = fs::read_dir(self.repo().join("berth-queue/main"));
        let is_number =
            |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.parse::<u64>().is_ok());
        files.map_or(0, |files| files.flatten().filter(|file| is_number(&file.file_name())).count())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.door.kill();
        let _ = self.door.wait();
    }
}

impl Person<'_> {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut git = git(&self.clone);
        git.args(["-c", "pull.rebase=false"]).args(arguments).env("GIT_EDITOR", "true");
        git
    }

    pub(crate) fn attempt(&self, arguments: &[&str]) -> Ran {
        let ran = berth_testing::run(&mut self.command(arguments), LONG);
        Ran { good: ran.is_good(), text: trimmed(&ran.words()) }
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let ran = self.attempt(arguments);
        assert!(
            ran.good,
            "git {arguments:?} of {}: {}{}",
            self.name,
            ran.text,
            self.house.bridge.heard(&self.name)
        );
        ran.text
    }

    /// Writes a file and commits it.
    pub(crate) fn commit(&self, path: &str, text: &str, subject: &str) {
        put(&self.clone, path, text);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", subject]);
    }

    pub(crate) fn push(&self, to: &str) -> Ran {
        self.attempt(&["push", "-o", "no-wait", "origin", &format!("HEAD:{to}")])
    }
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        Self { good: output.status.success(), text: trimmed(&String::from_utf8_lossy(&text)) }
    }

    #[track_caller]
    pub(crate) fn accepted(&self, parts: &[&str]) {
        assert!(self.good, "{}", self.text);
        self.has(parts);
    }

    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) {
        assert!(!self.good, "{}", self.text);
        self.has(parts);
    }

    #[track_caller]
    pub(crate) fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no `{part}` in\n{}", self.text);
        }
    }
}

/// The text without the blanks by which git wipes out a line of progress.
fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The file of the server of the member with this number.
pub(crate) fn server(number: usize, memory: &str) -> String {
    format!("id = {number}\nowner = \"u{number}\"\nmemory = \"{memory}\"\n")
}

/// The file of a domain that leads to a member's server.
pub(crate) fn domain(number: usize) -> String {
    format!("server = \"u{number}\"\n")
}

/// The objects of a repository, and the files of its folder of objects that git doesn't know.
pub(crate) fn objects(repository: &Path) -> (Vec<String>, Vec<PathBuf>) {
    let list = git(repository)
        .args(["cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered"])
        .in_time();
    let mut ids: Vec<String> = String::from_utf8(list.stdout).unwrap().lines().map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    let strange = fs::read_dir(repository.join("objects")).unwrap().flatten().map(|entry| entry.path());
    let known = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.len() == 2 || name == "pack" || name == "info"
    };
    (ids, strange.filter(|path| !known(path)).collect())
}
