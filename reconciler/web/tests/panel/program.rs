//! The program itself, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::browser::Browser;
use crate::door::StandIn;
use crate::panel::DOMAIN;

/// A user who has nothing.
pub(crate) const NOBODY: u32 = 65_534;

/// A parent with its child, and a door.
pub(crate) struct Program {
    pub(crate) home: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) child: Child,
    log: BufReader<ChildStderr>,
    pub(crate) door: StandIn,
}

impl Program {
    /// Starts it as somebody without any privilege.
    pub(crate) fn start() -> Self {
        Self::start_with(|command| match geteuid().is_root() {
            true => command.uid(NOBODY).gid(NOBODY),
            false => command,
        })
    }

    /// Starts it in another way.
    pub(crate) fn start_with(by: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let home = tempfile::tempdir().unwrap();
        let door = StandIn::serve(home.path());
        let program = home.path().join("berth-web");
        // By a program of its own: a child that another test starts meanwhile would hold our copy open for writing, and nobody
        // could run it.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_berth-web")).arg(&program).status().unwrap();
        assert!(copied.success());
        if geteuid().is_root() {
            chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            chown(home.path().join("web.sock"), Some(NOBODY), None).unwrap();
        }
        let mut command = Command::new(&program);
        let command = by(&mut command);
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--domain", DOMAIN, "--sockets"])
            .arg(home.path())
            .arg("--data")
            .arg(home.path().join("data"))
            .env("SECRET", "of the parent")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let mut program = Self { home, address, child, log, door };
        let line = program.hear("the panel's port is open");
        program.address = line.split("address=").nth(1).unwrap().trim().trim_matches('"').parse().unwrap();
        program.hear("the panel listens");
        program
    }

    /// Reads the log up to a line with these words.
    pub(crate) fn hear(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it has ended without \"{words}\"");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends a signal to the parent.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The child that serves.
    pub(crate) fn server(&self) -> Pid {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        Pid::from_raw(children.trim().parse().unwrap()).unwrap()
    }

    /// A browser that nobody has used.
    pub(crate) fn browser(&self) -> Browser {
        let origin = format!("https://{DOMAIN}:{}", self.address.port());
        Browser::new(self.address, origin, &self.home.path().join("data"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
