//! (a), (b), (d), (f): two hundred running servers, on an engine of their own; and as many services of Compose on
//! another engine of the same kind, so that neither sees the other's containers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use berth_repo::StateRepo;
use berth_tests::{Daemon, Engine, Platform, World};

use crate::api::Api;
use crate::compose::Compose;
use crate::keys;
use crate::servers;
use crate::table;
use crate::times::Times;

const SERVERS: usize = 200;
const ROUNDS: usize = 5;
const DAEMON_ROUNDS: usize = 11;
const KILLS: usize = 11;
/// Time that the seed's controller sleeps between two looks.
const SEED_POLL: Duration = Duration::from_secs(3);

/// Parts that are to be measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    /// (a) and (b)
    pub(crate) against_compose: bool,
    /// (d)
    pub(crate) repair: bool,
    /// (f)
    pub(crate) memory: bool,
}

/// Times of (a) and (b).
#[derive(Default)]
struct Compared {
    compose_same: Times,
    compose_changed: Times,
    process_same: Times,
    process_changed: Times,
    daemon_same: Times,
    daemon_changed: Times,
}

pub(crate) fn run(parts: Parts) -> anyhow::Result<()> {
    let _room = keys::Room::make()?;
    let world = World::default();
    let engine = world.own_engine("bench-berth");
    let peer = if parts.against_compose { Some(Peer::new(world.own_engine("bench-compose"))?) } else { None };
    let platform = Platform::new(&engine, |folder| servers::write(folder, SERVERS));
    eprintln!("making {SERVERS} servers, and as many services …");
    std::thread::scope(|scope| {
        let compose = scope.spawn(|| peer.as_ref().map_or(Ok(()), |peer| peer.compose.make(SERVERS)));
        servers::apply(&platform)?;
        compose.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let api = Api::connect(&engine.docker().host())?;
    let fleet = Fleet { api, repo: StateRepo::open(&platform.repo())?, platform: &platform };

    let mut compared = Compared::default();
    if let Some(peer) = &peer {
        fleet.compare_process(peer, &mut compared)?;
    }
    let daemon = platform.daemon();
    let mut memory = vec![("after the first pass", Memory::of(&daemon)?)];
    if let Some(peer) = &peer {
        fleet.compare_daemon(&mut compared)?;
        compared.print(&peer.compose.version()?, &fleet.api.version()?);
    }
    memory.push(("after no-op passes and changes", Memory::of(&daemon)?));
    if parts.repair {
        fleet.repair()?;
        memory.push(("after repairs", Memory::of(&daemon)?));
    }
    if parts.memory {
        std::thread::sleep(Duration::from_secs(65));
        memory.push(("a minute and a timer's pass later", Memory::of(&daemon)?));
        print_memory(&memory);
    }
    daemon.end();

    eprintln!("removing them …");
    // Here and side by side, since the harness removes more carefully, through one process a container.
    std::thread::scope(|scope| {
        let theirs = scope.spawn(|| peer.as_ref().map_or(Ok(()), Peer::clear));
        fleet.api.remove_all(&platform.prefix)?;
        theirs.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Compose and its engine.
struct Peer {
    compose: Compose,
    engine: Engine,
}

impl Peer {
    fn new(engine: Engine) -> anyhow::Result<Self> {
        let compose = Compose::find(engine.docker())?;
        compose.write(SERVERS, "0.5")?;
        Ok(Self { compose, engine })
    }

    fn clear(&self) -> anyhow::Result<()> {
        Api::connect(&self.engine.docker().host())?.remove_all("bench")
    }
}

struct Fleet<'a> {
    api: Api,
    repo: StateRepo,
    platform: &'a Platform,
}

/// Another number of cpus each round.
fn cpus(round: usize) -> String {
    format!("0.{}", 11 + round)
}

fn nanos(round: usize) -> i64 {
    i64::try_from(10_000_000 * (11 + round)).unwrap_or_default()
}

impl Fleet<'_> {
    /// Whole processes in turns: `docker-compose up -d` and `berth apply`.
    fn compare_process(&self, peer: &Peer, times: &mut Compared) -> anyhow::Result<()> {
        let name = self.platform.name(1);
        for round in 0..ROUNDS {
            eprintln!("against Compose, round {} of {ROUNDS} …", round + 1);
            times.compose_same.measure(|| peer.compose.up())?;
            times.process_same.measure(|| servers::apply(self.platform))?;
            peer.compose.write(SERVERS, &cpus(round))?;
            times.compose_changed.measure(|| peer.compose.up())?;
            let before = self.api.id(&name)?;
            servers::commit_cpus(&self.repo, 1, &cpus(round))?;
            times.process_changed.measure(|| servers::apply(self.platform))?;
            ensure!(self.api.id(&name)? == before, "the server was made anew");
            ensure!(self.api.nano_cpus(&name)? == nanos(round), "the change didn't arrive");
        }
        Ok(())
    }

    /// The running daemon: asked for a pass by `berth apply`, and from a commit to the limit in force.
    fn compare_daemon(&self, times: &mut Compared) -> anyhow::Result<()> {
        for _ in 0..DAEMON_ROUNDS {
            times.daemon_same.measure(|| servers::apply(self.platform))?;
        }
        let id = self.api.id(&self.platform.name(1))?;
        let ears = self.api.listen();
        for round in 0..DAEMON_ROUNDS {
            let begun = now()?;
            servers::commit_cpus(&self.repo, 1, &cpus(ROUNDS + round))?;
            times.daemon_changed.push(between(begun, ears.wait(&id, "update")?));
            // The passes that follow from its own events are over when this one is.
            servers::apply(self.platform)?;
        }
        Ok(())
    }

    /// (d): kills servers, and as often a container that is no server's, which a bare loop starts again.
    fn repair(&self) -> anyhow::Result<()> {
        let ears = self.api.listen();
        let stray = self.stray()?;
        let [mut berth, mut berth_start, mut bare, mut start] = <[Times; 4]>::default();
        for round in 0..KILLS {
            let server = self.api.id(&self.platform.name(u32::try_from(10 + round)?))?;
            let begun = now()?;
            self.api.kill(&server)?;
            let died = ears.wait(&server, "die")?;
            let started = ears.wait(&server, "start")?;
            berth.push(between(begun, started));
            berth_start.push(between(died, started));
            servers::apply(self.platform)?;

            let begun = now()?;
            self.api.kill(&stray)?;
            ears.wait(&stray, "die")?;
            start.measure(|| self.api.start(&stray))?;
            bare.push(between(begun, ears.wait(&stray, "start")?));
        }
        let poll = start.median() + SEED_POLL / 2;
        let over =
            |time: Duration| format!("{:+.0} ms", 1e3 * (time.as_secs_f64() - start.median().as_secs_f64()));
        let row = |what: &str, times: &Times| {
            vec![what.to_owned(), times.to_string(), over(times.median()), times.rounds().to_string()]
        };
        table::print(
            &format!("(d) A killed server runs again, among {SERVERS}"),
            &["what", "time", "over the engine's start", "rounds"],
            &[
                row("Berth's daemon: its end → it runs", &berth_start),
                row("Berth's daemon: `docker kill` → it runs", &berth),
                row("bare loop that knows which one: `docker kill` → it runs", &bare),
                row("the engine's start alone", &start),
                vec![
                    format!(
                        "the seed's poll every {} s: its end → it runs (arithmetic)",
                        SEED_POLL.as_secs()
                    ),
                    format!("{:.2} s on average", poll.as_secs_f64()),
                    over(poll),
                    String::new(),
                ],
            ],
        );
        Ok(())
    }

    /// A container made like a server, yet without labels, so that Berth leaves it alone.
    fn stray(&self) -> anyhow::Result<String> {
        let found = berth::source::Source::open(&self.platform.repo())?.find(None)?;
        let settled =
            found.state.map_err(|findings| anyhow::anyhow!("the state has mistakes: {findings:?}"))?;
        let desired = berth_plan::Desired::from_state(&settled.state);
        let server = desired.servers.first().context("no server")?;
        let (mut volumes, mut container) = (desired.data_volumes(server), desired.server_spec(server));
        let rename = |name: &str| name.replace("-users-dind-", "-stray-");
        container.name = rename(&container.name);
        container.labels.clear();
        container.mounts.iter_mut().for_each(|mount| mount.volume = rename(&mount.volume));
        for volume in &mut volumes {
            volume.name = rename(&volume.name);
            volume.labels.clear();
        }
        let name = container.name.clone();
        self.api.make_all(&[(volumes, container)], 1)?;
        self.api.id(&name)
    }
}

impl Compared {
    fn print(&self, compose: &str, engine: &str) {
        let row = |what: &str, times: &Times, peer: &Times| {
            let ratio = if std::ptr::eq(times, peer) {
                String::new()
            } else {
                format!("{:.0} ×", peer.ratio_to(times))
            };
            vec![what.to_owned(), times.to_string(), ratio, times.rounds().to_string()]
        };
        let head = ["what", "time", "faster than Compose", "rounds"];
        println!("\nengine {engine}; {compose}");
        let up = format!("`{} up -d`", compose.rsplit_once(' ').map_or(compose, |(program, _)| program));
        table::print(
            &format!("(a) Nothing to do among {SERVERS}"),
            &head,
            &[
                row(&up, &self.compose_same, &self.compose_same),
                row("`berth apply`, the whole process", &self.process_same, &self.compose_same),
                row("`berth apply`, by the daemon", &self.daemon_same, &self.compose_same),
            ],
        );
        table::print(
            &format!("(b) The cpus of one among {SERVERS} change"),
            &head,
            &[
                row(&format!("{up}, which makes it anew"), &self.compose_changed, &self.compose_changed),
                row("`berth apply`, the whole process", &self.process_changed, &self.compose_changed),
                row("commit → limit in force, by the daemon", &self.daemon_changed, &self.compose_changed),
            ],
        );
    }
}

/// Memory of a process, in KiB.
struct Memory {
    resident: u64,
    own: u64,
    most: u64,
}

impl Memory {
    fn of(daemon: &Daemon) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).context("a field of /proc")
        };
        Ok(Self { resident: field("VmRSS")?, own: field("RssAnon")?, most: field("VmHWM")? })
    }
}

fn print_memory(samples: &[(&str, Memory)]) {
    let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    let rows: Vec<Vec<String>> = samples
        .iter()
        .map(|(when, memory)| {
            vec![(*when).to_owned(), mib(memory.resident), mib(memory.own), mib(memory.most)]
        })
        .collect();
    table::print(
        &format!("(f) Memory of the idle daemon with {SERVERS} servers"),
        &["when", "resident", "of it its own (not files)", "most so far"],
        &rows,
    );
}

fn now() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}

fn between(from: i64, to: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to - from).unwrap_or_default())
}
