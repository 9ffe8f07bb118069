//! A private Docker engine: its own data, its own containerd, its own socket. It takes no part in the host's firewall
//! rules and knows nothing of another engine beside it; one that has networks has them in a namespace (`lab`).
//!
//! When a run starts an engine, it finds what an engine of the same name has left whose run was killed, by its path,
//! and ends that. Nothing else is ever signalled.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustix::process::Signal;

use crate::docker::Docker;
use crate::namespace::Namespace;
use crate::process::{PATIENCE, built, eventually, is_alive, run, send, wait, within};
use crate::{ground, leftovers};

/// User namespace that the engine gives its containers, or doesn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// Root in a container is nobody on the host.
    Remapped,
    /// Root is root: for building images over the host's network, which a mapping engine refuses.
    Plain,
}

/// Cgroup tree that the engine sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroup {
    /// The host's own.
    Host,
    /// Version 2, mounted over the host's in the engine's own mount namespace.
    Unified,
}

/// Networks that the engine may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Networks {
    /// None that reaches anything: no bridge, no rules, no forwarding.
    None,
    /// All that a production engine makes, in this network namespace, which is not the machine's.
    In(Namespace),
}

/// Traits of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' types say it")]
pub struct Traits {
    pub mapping: Mapping,
    pub cgroup: Cgroup,
    pub networks: Networks,
    pub data: Data,
}

/// Fate of the engine's data at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Images stay, for the next run; containers, volumes and networks go.
    KeepImages,
    /// All of it goes.
    Discard,
}

/// The runtime of servers with ids of their own, beside Berth's usual one.
pub const OWN_RANGES: &str = "berth-own";
/// The runtime whose argument a story changes.
pub const SWITCHED: &str = "berth-switched";
/// Berth's usual runtime, whose argument a story may change behind the platform's back.
pub const USUAL: &str = "berth";

/// The argument of a runtime that can be switched, as its script finds it.
const SWITCH: &str = "$(cat \"$0.argument\")";

/// A private engine.
#[derive(Debug)]
pub struct Engine {
    folder: PathBuf,
    traits: Traits,
    docker: Docker,
    child: Mutex<Option<Child>>,
}

impl Engine {
    /// Starts an engine called `name` and waits until it answers.
    pub fn start(name: &str, mapping: Mapping, cgroup: Cgroup, data: Data) -> Self {
        Self::with(name, Traits { mapping, cgroup, networks: Networks::None, data })
    }

    /// Starts an engine called `name` that has these traits.
    pub fn with(name: &str, traits: Traits) -> Self {
        let folder = match traits.data {
            Data::KeepImages => ground::ground().join(name),
            Data::Discard => ground::passing().join(name),
        };
        leftovers::end(&folder);
        if traits.data == Data::Discard {
            let _ = fs::remove_dir_all(&folder);
        }
        ground::make_open(&folder);
        let _ = fs::remove_file(folder.join("log"));
        let docker = Docker::at(&folder.join("d.sock"));
        let engine = Self { folder, traits, docker, child: Mutex::new(None) };
        engine.launch();
        let failures = engine.docker.remove_everything();
        assert!(failures.is_empty(), "left by an earlier run: {failures:#?}");
        engine
    }

    /// The engine that stories share, and its like.
    pub fn remapped(name: &str, data: Data) -> Self {
        Self::start(name, Mapping::Remapped, Cgroup::Host, data)
    }

    /// Its `docker`.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The namespace that its networks are in, where that isn't the machine's own.
    pub fn namespace(&self) -> Option<&Namespace> {
        match &self.traits.networks {
            Networks::None => None,
            Networks::In(namespace) => Some(namespace),
        }
    }

    /// Path of its log.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Last line of its log, which is where an engine that doesn't come up says why.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().next_back().unwrap_or("it logged nothing").to_owned()
    }

    /// The folder of what this engine is, for things that belong to it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills the engine where it stands. Its containerd goes with it, its containers live on, as after a crash.
    pub fn kill(&self) {
        let file = self.folder.join("exec/containerd/containerd.pid");
        let containerd = fs::read_to_string(&file).expect("containerd's pid").trim().parse().expect("a pid");
        let mut child = self.child().take().expect("a running engine");
        child.kill().expect("kill the engine");
        child.wait().expect("wait for the engine");
        eventually("its containerd has ended", || (!is_alive(containerd)).then_some(()));
        // Where nobody reaps orphans its zombie stays, and the next engine would take that for a containerd that lives.
        fs::remove_file(&file).expect("remove containerd's pid file");
    }

    /// Ends it and everything that runs in it where they stand, as a loss of power does. Its networks' namespace stays, with
    /// whatever the kernel has in it.
    pub fn lose_power(&self) {
        let mut child = self.child().take().expect("a running engine");
        child.kill().expect("kill the engine");
        child.wait().expect("wait for the engine");
        leftovers::end(&self.folder);
    }

    /// Starts the engine again after `kill` or `lose_power`.
    pub fn restart(&self) {
        self.launch();
    }

    fn launch(&self) {
        let path = |name: &str| self.folder.join(name);
        // An empty one of our own, or else the host's would be read.
        fs::write(path("daemon.json"), "{}").expect("daemon.json");
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("the engine's log");
        let mut command = match &self.traits.networks {
            Networks::None => Command::new("env"),
            Networks::In(namespace) => namespace.command(),
        };
        match self.traits.cgroup {
            Cgroup::Host => command.arg("dockerd"),
            Cgroup::Unified => {
                let script = "mount -t cgroup2 none /sys/fs/cgroup && exec dockerd \"$@\"";
                command.args(["unshare", "--mount", "sh", "-c", script, "dockerd"])
            }
        };
        command
            .arg("--config-file")
            .arg(path("daemon.json"))
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("-H")
            .arg(self.docker.host())
            .arg("--add-runtime")
            .arg(format!("{USUAL}={}", self.write_runtime(USUAL, SWITCH).display()))
            .arg("--add-runtime")
            .arg(format!("{OWN_RANGES}={}", self.write_runtime(OWN_RANGES, "--own-ranges").display()))
            .arg("--add-runtime")
            .arg(format!("{SWITCHED}={}", self.write_runtime(SWITCHED, SWITCH).display()));
        [USUAL, SWITCHED].iter().for_each(|runtime| self.switch(runtime, ""));
        match self.traits.networks {
            // No part in the host's network: neither its rules, nor its forwarding, nor a bridge of a known name.
            Networks::None => command
                .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"])
                .arg("--ip-forward=false"),
            // What an installation has (docs/operations.md); networks are the engine's own defaults.
            Networks::In(_) => command.arg("--live-restore"),
        };
        if self.traits.mapping == Mapping::Remapped {
            make_mapped_user();
            command.arg(format!("--userns-remap={MAPPED_USER}"));
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            // Out of the terminal's group: an interrupt shall reach the stories first, which then end it.
            .process_group(0);
        let child = command.spawn().expect("start dockerd (is docker.io installed?)");
        let pid = child.id();
        *self.child() = Some(child);
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let log = self.log();
        within(PATIENCE, &format!("the engine `{name}` answers\nits log: {}", log.display()), || {
            assert!(
                is_alive(pid),
                "the engine `{name}` did not come up: {}\nits log: {}",
                self.last_words(),
                log.display()
            );
            self.docker.socket().exists().then(|| self.docker.answers()).filter(|answers| *answers)
        });
    }

    /// Gives a runtime, [`SWITCHED`] or [`USUAL`], the argument with which it starts servers from now on; none is an empty one.
    pub fn switch(&self, runtime: &str, argument: &str) {
        fs::write(self.folder.join(format!("{runtime}.argument")), argument).expect("an argument");
    }

    /// A program that is `berth-runtime` with an argument, as engines make one themselves for `runtimeArgs`.
    fn write_runtime(&self, name: &str, argument: &str) -> PathBuf {
        let path = self.folder.join(name);
        let runtime = built("berth-runtime");
        let script = format!("#!/bin/sh\nexec {} {argument} \"$@\"\n", runtime.display());
        // Not over a script that an engine of this folder may be running.
        let new = self.folder.join(format!("{name}.new"));
        fs::write(&new, script).expect("a runtime");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::rename(&new, &path).expect("a runtime");
        path
    }

    /// Removes what is left in it, ends it, and gives up what the kernel still holds for it.
    pub fn stop(&self) {
        let Some(mut child) = self.child().take() else {
            leftovers::end(&self.folder);
            return;
        };
        if is_alive(child.id()) && self.docker.answers() {
            for failure in self.docker.remove_everything() {
                eprintln!("left in the engine: {failure}");
            }
        }
        send(child.id(), Signal::TERM);
        if wait(&mut child, Duration::from_secs(60)).is_none() {
            eprintln!("the engine did not end by itself:\n{}", self.last_words());
            let _ = child.kill();
            let _ = child.wait();
        }
        leftovers::end(&self.folder);
        if self.traits.data == Data::Discard {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The user whose subordinate ids the engines of the stories map to. Not Docker's own `dockremap`: the kernel counts
/// keys, watches and more per user, so a platform that runs on this machine would use up what the stories need, and the
/// other way round. Like Docker's own, it stays on the machine.
const MAPPED_USER: &str = "berth-stories";
/// The first of its ids: far from where `useradd` begins.
const FIRST_ID: u32 = 1_000_000_000;

fn make_mapped_user() {
    // Engines may be started side by side, and an id file is read and written as a whole.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let prefix = format!("{MAPPED_USER}:");
    let has = |path: &str| {
        fs::read_to_string(path).unwrap_or_default().lines().any(|line| line.starts_with(&prefix))
    };
    if !has("/etc/passwd") {
        let options = ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "--user-group"];
        run(Command::new("useradd").args(options).arg(MAPPED_USER), Duration::from_secs(20)).good();
    }
    for path in ["/etc/subuid", "/etc/subgid"] {
        if !has(path) {
            let mut file = fs::File::options().create(true).append(true).open(path).expect(path);
            writeln!(file, "{prefix}{FIRST_ID}:65536").expect(path);
        }
    }
}
