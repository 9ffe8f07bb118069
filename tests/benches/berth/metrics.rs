//! (r) Metrics: a sample of 200 servers and its text, against asking the engine for each container's stats.
//!
//! The servers of the sample are cgroups of the kernel's without processes in them, so that its files cost what they cost. The engine has few
//! servers, and its cost is told for each: it asks the same files, once for each container.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth::figures::{Sampler, Use};
use berth::servers::{Known, Seen};
use berth_metrics::{Format, ServerMetrics, Snapshot, Usage, text};
use berth_schema::name::ServerId;
use berth_tests::{Engine, Platform, World};

use crate::api::Api;
use crate::servers;
use crate::table;
use crate::times::Times;

/// Servers of a sample.
const SERVERS: u32 = 200;
/// Servers of the engine.
const REAL: usize = 4;
const ROUNDS: usize = 24;
/// Time from one sample to the next.
const EVERY: Duration = Duration::from_secs(5);
/// Time from one scrape to the next, as most are set.
const SCRAPE: Duration = Duration::from_secs(15);

pub(crate) fn run() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let cgroups = Cgroups::make(SERVERS)?;
    let seen = cgroups.seen();
    let used = Use::at(home.path().to_owned());
    let mut sampler = Sampler::of_host(home.path().join("figures"));
    // The first look searches for the place of containers.
    sampler.work(&seen, &used);
    ensure!(used.counters().len() == SERVERS as usize, "the cgroups aren't found");
    let (mut samples, mut scrapes, mut bytes) = (Times::default(), Times::default(), 0);
    for _ in 0..ROUNDS {
        samples.push(on_cpu(|| sampler.work(&seen, &used))?);
        let snapshot = snapshot(&seen, &used);
        scrapes.push(on_cpu(|| bytes = text(&snapshot, Format::OpenMetrics).len())?);
    }
    let mut minute = Times::default();
    for _ in 0..ROUNDS {
        minute.push(on_cpu(|| used.keep())?);
    }

    let engine = World::default().own_engine("bench-metrics");
    let platform = Platform::new(&engine, |folder| servers::write(folder, REAL));
    servers::apply(&platform)?;
    let api = Api::connect(&engine.docker().host())?;
    let ids: Vec<String> =
        (1..=REAL).map(|id| api.id(&platform.name(id as u32))).collect::<Result<_, _>>()?;
    let mut engines = Times::default();
    for _ in 0..ROUNDS {
        let before = engine_time(&engine)?;
        // A tick of the kernel's clock is ten milliseconds, which one question may not take.
        for _ in 0..10 {
            ids.iter().try_for_each(|id| api.stats(id))?;
        }
        let took = engine_time(&engine)?.saturating_sub(before);
        engines.push(took / u32::try_from(10 * REAL)?);
    }
    api.remove_all(&platform.prefix)?;

    let share = |time: Duration, every: Duration| {
        format!("{:.2} %", 100.0 * time.as_secs_f64() / every.as_secs_f64())
    };
    let ours = share(samples.median(), EVERY);
    let theirs = engines.median() * SERVERS;
    table::print(
        &format!("(r) Metrics of {SERVERS} servers: time on a processor"),
        &["what", "time", "rounds", "share of a processor"],
        &[
            vec![
                format!("a sample of {SERVERS} servers and the host"),
                samples.to_string(),
                ROUNDS.to_string(),
                format!("{ours}, every 5 s"),
            ],
            vec![
                "writing a minute of them".into(),
                minute.to_string(),
                ROUNDS.to_string(),
                format!("{}, every minute", share(minute.median(), Duration::from_secs(60))),
            ],
            vec![
                format!("the text for a scraper, {} kB", bytes / 1000),
                scrapes.to_string(),
                ROUNDS.to_string(),
                format!("{}, every 15 s", share(scrapes.median(), SCRAPE)),
            ],
            vec![
                "the engine's stats of one container".into(),
                engines.to_string(),
                ROUNDS.to_string(),
                format!("{}, for {SERVERS} every 5 s", share(theirs, EVERY)),
            ],
        ],
    );
    Ok(())
}

/// Time that this thread has on a processor for it.
fn on_cpu(work: impl FnOnce()) -> anyhow::Result<Duration> {
    let now = || -> anyhow::Result<u64> {
        let text = fs::read_to_string("/proc/thread-self/schedstat")?;
        Ok(text.split(' ').next().context("an empty schedstat")?.parse()?)
    };
    let before = now()?;
    work();
    Ok(Duration::from_nanos(now()? - before))
}

/// Time that the engine and its containerd had on processors so far.
fn engine_time(engine: &Engine) -> anyhow::Result<Duration> {
    let pid = |file: &str| fs::read_to_string(engine.folder().join(file)).with_context(|| file.to_owned());
    let mut ticks = 0;
    for file in ["pid", "exec/containerd/containerd.pid"] {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid(file)?.trim()))?;
        // After the name, which may hold anything: the state is the third field, the times are the 14th and the 15th.
        let (_, rest) = stat.rsplit_once(") ").context("a strange stat")?;
        let times = rest.split(' ').skip(11).take(2).map(str::parse::<u64>);
        ticks += times.sum::<Result<u64, _>>()?;
    }
    Ok(Duration::from_millis(ticks * 10))
}

fn snapshot(seen: &Seen, used: &Use) -> Arc<Snapshot> {
    let counters = used.counters();
    let server = |(id, known): (&ServerId, &Known)| {
        let counters = counters.get(id);
        ServerMetrics {
            id: id.0.get(),
            name: known.name.clone(),
            container: known.container.clone(),
            cgroup: counters.map(|counters| counters.cgroup.clone()).unwrap_or_default(),
            usage: counters
                .map(|counters| Usage { cpu_micros: counters.reading.cpu_micros, ..Usage::default() }),
            disk: Some(1),
            ..ServerMetrics::default()
        }
    };
    let servers = seen.servers.iter().map(server).collect();
    Arc::new(Snapshot { is_up: true, servers, host: used.host(), ..Snapshot::default() })
}

/// Cgroups with the names of containers, in each of the kernel's hierarchies.
struct Cgroups {
    folders: Vec<PathBuf>,
    ids: Vec<String>,
}

impl Cgroups {
    fn make(number: u32) -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let is_cgroup = |line: &&str| line.contains(" - cgroup");
        let places = mounts.lines().filter(is_cgroup).filter_map(|line| line.split(' ').nth(4));
        let parents: Vec<PathBuf> = places.map(|place| Path::new(place).join("berth-bench")).collect();
        let ids: Vec<String> = (1..=number).map(|id| format!("{id:064x}")).collect();
        let mut made = Self { folders: Vec::new(), ids };
        for parent in parents {
            made.folders.push(parent.clone());
            fs::create_dir_all(&parent).with_context(|| format!("make {}", parent.display()))?;
            // Where there is one hierarchy for all, what is below has the controllers that are asked for here.
            for file in [parent.join("../cgroup.subtree_control"), parent.join("cgroup.subtree_control")] {
                let _ = fs::write(file, "+cpu +memory +pids +io");
            }
            for id in &made.ids {
                let folder = parent.join(id);
                fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
                made.folders.push(folder);
            }
        }
        Ok(made)
    }

    fn seen(&self) -> Seen {
        let known = |(number, id): (u32, &String)| {
            let known = Known {
                name: format!("s{number}"),
                container: format!("bench-users-dind-{number}"),
                id: Some(id.clone()),
                wanted: None,
            };
            Some((ServerId(number.try_into().ok()?), known))
        };
        let servers: BTreeMap<ServerId, Known> = (1..).zip(&self.ids).filter_map(known).collect();
        Seen { platform: "bench".parse().ok(), servers, ..Seen::default() }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for folder in self.folders.iter().rev() {
            // One that can't go is in nobody's way.
            let _ = fs::remove_dir(folder);
        }
    }
}
