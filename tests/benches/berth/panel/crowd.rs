//! A platform with real servers, in front of a sham that tells the reconciler of many more: the reconciler, its sockets, the door and
//! the panel are real, and so is everything that the member has whose pages are read.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use berth_repo::{APPLIED, StateRepo};
use berth_tests::panel::HASH;
use berth_tests::{Daemon, Engine, GitDoor, Panel, Platform};

use crate::api::Api;
use crate::organisation::{self, Onto};
use crate::push;
use crate::servers;
use crate::sham::Front;

/// People whose pages are read: the first ten servers are the member's.
pub(super) const ADMIN: &str = "ann";
pub(super) const MEMBER: &str = "m0";
/// Subnet with an address for every server.
const USERS: &str = "172.24.0.0/14";

/// Time after which a wait is given up. Nothing here takes so long.
const GIVEN_UP: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// The platform, without processes.
pub(super) struct Crowd<'a> {
    engine: &'a Engine,
    front: Front,
    platform: Platform,
    real: usize,
}

/// Its processes.
pub(super) struct Running {
    // They end in this order.
    pub(super) panel: Panel,
    door: GitDoor,
    daemon: Daemon,
}

impl<'a> Crowd<'a> {
    /// Makes so many real servers.
    pub(super) fn of(engine: &'a Engine, real: usize) -> anyhow::Result<Self> {
        let front = Front::before(engine.docker().socket())?;
        let mut platform = Platform::new(engine, |first| {
            let settings = first.read("platform.toml");
            let settings: Vec<String> = settings
                .lines()
                .map(|line| match line.starts_with("users = ") {
                    true => format!("users = \"{USERS}\""),
                    false => line.to_owned(),
                })
                .collect();
            first.write("platform.toml", &(settings.join("\n") + "\n"));
            first.write(&format!("users/{ADMIN}.toml"), &person("admin"));
            for (path, text) in Self::files(0..real) {
                first.write(&path, &text);
            }
            first.write(&format!("users/{MEMBER}.toml"), &person("user"));
        });
        platform.reach_at(&front.address());
        servers::apply(&platform)?;
        Ok(Self { engine, front, platform, real })
    }

    /// Files of servers and of their owners.
    fn files(servers: std::ops::Range<usize>) -> impl Iterator<Item = (String, String)> {
        let is_its = move |path: &str| {
            let id = path.strip_prefix("servers/s").and_then(|rest| rest.strip_suffix(".toml")?.parse().ok());
            id.is_none_or(|id: usize| id > servers.start)
        };
        let files = organisation::files(servers.end, "").into_iter();
        files.filter(move |(path, _)| path != "platform.toml" && is_its(path))
    }

    /// Has so many servers in all from now on. Those that aren't real are stopped, so that nobody misses what they use.
    pub(super) fn grow_to(&self, servers: usize) -> anyhow::Result<()> {
        if servers == self.real {
            return Ok(());
        }
        let member = format!("users/{MEMBER}.toml");
        let more = Self::files(self.real..servers).filter(|(path, _)| *path != member);
        let more: Vec<_> = more.map(|(path, text)| (path, push::stopped(&text))).collect();
        organisation::commit(&self.platform.repo(), &more, Onto::Tip)?;
        self.front.tell_of(&push::everything(&self.platform.repo(), &self.platform.data())?, self.real)
    }

    /// Starts its processes, and waits until the reconciler has nothing to do.
    pub(super) fn run(&self) -> anyhow::Result<Running> {
        let daemon = self.platform.daemon();
        servers::apply(&self.platform)?;
        let door = GitDoor::of(&self.platform.repo(), &self.platform.data(), &[]);
        let panel = Panel::of(&self.platform);
        Ok(Running { panel, door, daemon })
    }

    /// Waits until everything that is committed is applied.
    pub(super) fn settled(&self) -> anyhow::Result<()> {
        let repo = StateRepo::open(&self.platform.repo())?;
        let begun = Instant::now();
        while repo.resolve(APPLIED).ok() != repo.head()? {
            ensure!(begun.elapsed() < GIVEN_UP, "a commit isn't applied within {GIVEN_UP:?}");
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Removes the servers: the harness does it more carefully, through one process a container.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        Api::connect(&self.engine.docker().host())?.remove_all(&self.platform.prefix)
    }
}

impl Running {
    /// Processes of the panel, the door and the reconciler.
    pub(super) fn pids(&self) -> anyhow::Result<[u32; 3]> {
        Ok([self.panel.pid(), self.door.pid().context("a door")?, self.daemon.pid()])
    }
}

fn person(role: &str) -> String {
    format!("role = \"{role}\"\npassword_hash = \"{HASH}\"\n")
}
