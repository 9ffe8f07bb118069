//! Network namespaces by name, for worlds that are closed: nothing leads from them to the machine's own network.
//!
//! Their names say which target folder's stories made them, so that what a run that was killed has left is found, and
//! nobody else's is touched. Making, entering and ending is all that happens here; what lies in one is its maker's.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::ground::mark;
use crate::process::{PATIENCE, Ran, eventually, is_alive, processes, run, send};

/// Folder in which `ip netns` keeps them.
const FOLDER: &str = "/run/netns";

/// A network namespace. Its clones are the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one, with its loopback up and nothing else in it.
    pub fn make(kind: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("{kind}-{}-{}-{number}", mark(), std::process::id()) };
        ip(&["netns", "add", &namespace.name]);
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Runs `ip` on it.
    #[track_caller]
    pub fn ip(&self, arguments: &[&str]) -> Ran {
        ip(&[&["-n", &self.name], arguments].concat())
    }

    /// The beginning of a command that runs in it: the program and its arguments are to be added. Not `ip netns exec`,
    /// which has a mount namespace of its own: nobody else would see what an engine mounts there.
    pub fn command(&self) -> Command {
        let [program, argument] = self.enters();
        let mut command = Command::new(program);
        command.arg(argument);
        command
    }

    /// The words of that beginning.
    pub(crate) fn enters(&self) -> [OsString; 2] {
        ["nsenter".into(), format!("--net={}", self.path().display()).into()]
    }

    /// Runs `script` in it.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Ran {
        run(self.command().args(["sh", "-c", script]), PATIENCE)
    }

    /// Does `work` in it, on a thread of its own. Sockets that it opens stay in the namespace.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = fs::File::open(self.path()).expect("a namespace");
        std::thread::scope(|scope| {
            let inside = || {
                use std::os::fd::AsFd as _;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("enter it");
                work()
            };
            scope.spawn(inside).join().expect("the work in a namespace")
        })
    }

    /// Ends the processes in it and gives up its name.
    pub fn end(&self) {
        let Ok(own) = fs::metadata(self.path()).map(|file| file.ino()) else { return };
        let inside = || -> Vec<u32> {
            let is_inside = |pid: &u32| {
                fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|namespace| namespace.ino() == own)
            };
            processes().into_iter().filter(is_inside).collect()
        };
        for pid in inside() {
            send(pid, Signal::KILL);
        }
        eventually("what ran in a namespace has ended", || inside().is_empty().then_some(()));
        run(Command::new("ip").args(["netns", "del", &self.name]), Duration::from_secs(20));
    }
}

/// Ends the namespaces of earlier runs: those of this target folder whose maker is gone. Other stories of this run may
/// have theirs by now.
pub fn end_leftovers() {
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('-').skip(1);
        let is_of_stories = parts.next().is_some_and(|part| part == mark());
        let maker = parts.next().and_then(|pid| pid.parse().ok());
        if is_of_stories && maker.is_none_or(|pid| !is_alive(pid)) {
            Namespace { name }.end();
        }
    }
}

#[track_caller]
fn ip(arguments: &[&str]) -> Ran {
    run(Command::new("ip").args(arguments), PATIENCE).good()
}
