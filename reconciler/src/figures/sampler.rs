//! The sampler: reads every server's counters again and again, and makes samples of them.
//!
//! A sample costs six files a server and one file for all of their links. Servers come and go between two samples; one
//! whose files can't be read doesn't run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use berth_metrics::HostFigures;
use berth_schema::name::ServerId;
use berth_wire::figures::{DiskTraffic, DiskUse, Sample, Span, Traffic};
use jiff::Timestamp;

use super::cgroup::{Layout, Reading, Tree};
use super::disk_traffic::Disks;
use super::host::{self, Host};
use super::rate::{bytes, rate};
use super::ring::{Rings, Whose, write};
use super::traffic::{self, Passed};
use super::{Counters, Use};
use crate::servers::{Seen, Servers};

/// Time between two searches for the place of containers, while they aren't where they were.
const SEARCH_EVERY: Duration = Duration::from_secs(60);

/// Samples what the host and its servers use, forever. The past is kept in `folder`.
pub async fn watch(servers: Servers, used: Use, folder: PathBuf) {
    let mut sampler = Sampler::of_host(folder);
    loop {
        tokio::time::sleep(rest(Timestamp::now())).await;
        let (seen, used) = (servers.seen(), used.clone());
        // Off the threads that carry connections: the files of a thousand servers take a while.
        let sampled = tokio::task::spawn_blocking(move || {
            sampler.work(&seen, &used);
            sampler
        });
        match sampled.await {
            Ok(back) => sampler = back,
            // A panic, which the task's end tells of.
            Err(_) => return,
        }
    }
}

/// Time until the middle of the next place for a sample, so that none is left out and none is filled twice.
fn rest(now: Timestamp) -> Duration {
    let every = i64::from(Span::Hour.every()) * 1000;
    let gone = (now.as_millisecond() - every / 2).rem_euclid(every);
    Duration::from_millis((every - gone).unsigned_abs())
}

fn tree() -> Option<Tree> {
    let tree = fs::read_to_string("/proc/self/mountinfo").ok().and_then(|text| Tree::of(&text));
    if tree.is_none() {
        tracing::warn!(
            "no cgroup hierarchy counts processors, memory and processes; there are no figures of servers"
        );
    }
    tree
}

/// Everything that is remembered from one sample to the next.
#[derive(Debug)]
pub struct Sampler {
    tree: Option<Tree>,
    layout: Option<Layout>,
    searched: Option<Instant>,
    /// Time of the last sample.
    at: Option<Instant>,
    last: HashMap<ServerId, Last>,
    disks: Disks,
    host: Host,
    last_host: Option<HostFigures>,
    /// Folder in which the past is kept, until it was read.
    folder: Option<PathBuf>,
    /// Set if the past couldn't be written last.
    failing: bool,
    /// Text of the file that is being read.
    text: String,
}

/// Counters of a server at the last sample.
#[derive(Debug, Clone)]
struct Last {
    container: String,
    reading: Reading,
    passed: Option<Passed>,
}

impl Sampler {
    /// A sampler of this host, which keeps the past in a folder.
    pub fn of_host(folder: PathBuf) -> Self {
        Self::new(tree(), Some(folder))
    }

    pub(super) fn new(tree: Option<Tree>, folder: Option<PathBuf>) -> Self {
        Self {
            tree,
            layout: None,
            searched: None,
            at: None,
            last: HashMap::new(),
            disks: Disks::default(),
            host: Host::default(),
            last_host: None,
            folder,
            failing: false,
            text: String::new(),
        }
    }

    /// Takes the samples of this moment.
    pub fn work(&mut self, seen: &Seen, used: &Use) {
        // The servers aren't known before the first pass, and what is kept of them isn't forgotten for that.
        let Some(platform) = &seen.platform else { return };
        let servers = seen.servers.keys().map(|id| Whose::Server(*id));
        let known: BTreeSet<Whose> = servers.chain([Whose::Host]).collect();
        let now = Timestamp::now();
        if let Some(folder) = self.folder.take() {
            self.load(folder, &known, now, used);
        }
        let passed = traffic::read(platform.as_str());
        let containers: Vec<(ServerId, &str)> = seen.containers().collect();
        let begun = Instant::now();
        let elapsed = self.at.map(|before| begun.saturating_duration_since(before));
        let mut samples = self.sample(&containers, &passed, begun);
        let host = self.host.read(&mut self.disks, &used.places());
        let host_sample = match (&self.last_host, &host, elapsed) {
            (Some(before), Some(next), Some(elapsed)) => host::until(before, next, elapsed),
            _ => None,
        };
        let minutes = {
            let mut used = used.0.lock();
            put_disk_space(&mut samples, &used.disks);
            used.sort_out(&containers);
            let samples = samples.into_iter().map(|(id, sample)| (Whose::Server(id), sample));
            used.rings.retain(known);
            used.counters = self.last.iter().map(|(id, last)| (*id, self.counters(last))).collect();
            used.host = host.clone();
            used.rings.push(now, samples.chain(host_sample.map(|sample| (Whose::Host, sample))).collect())
        };
        self.last_host = host;
        write(minutes, &mut self.failing);
    }

    /// Reads the past.
    fn load(&mut self, folder: PathBuf, known: &BTreeSet<Whose>, now: Timestamp, used: &Use) {
        if let Err(error) = fs::create_dir_all(&folder) {
            tracing::warn!(path = %folder.display(), %error, "figures can't be kept; a restart will lose the past");
            return;
        }
        let rings = Rings::load(folder, known.clone(), now);
        used.0.lock().rings = rings;
    }

    fn counters(&self, last: &Last) -> Counters {
        let cgroup = self.layout.as_ref().map(|layout| layout.path(&last.container)).unwrap_or_default();
        Counters { cgroup, reading: last.reading, passed: last.passed }
    }

    /// Reads the counters of these containers, and returns what they used since the last time.
    pub(super) fn sample(
        &mut self,
        containers: &[(ServerId, &str)],
        passed: &HashMap<ServerId, Passed>,
        now: Instant,
    ) -> HashMap<ServerId, Sample> {
        let elapsed = self.at.replace(now).map(|before| now.saturating_duration_since(before));
        let readings = self.readings(containers, now);
        let mut samples = HashMap::new();
        let mut last = HashMap::with_capacity(readings.len());
        for (id, container, reading) in readings {
            let next = Last { container: container.to_owned(), reading, passed: passed.get(&id).copied() };
            if let (Some(before), Some(elapsed)) = (self.last.get(&id), elapsed)
                && let Some(sample) = before.until(&next, elapsed)
            {
                samples.insert(id, sample);
            }
            last.insert(id, next);
        }
        self.last = last;
        samples
    }

    fn readings<'a>(
        &mut self,
        containers: &[(ServerId, &'a str)],
        now: Instant,
    ) -> Vec<(ServerId, &'a str, Reading)> {
        let Some(tree) = &self.tree else { return Vec::new() };
        let (disks, text) = (&mut self.disks, &mut self.text);
        let mut all = |layout: &Layout| -> Vec<_> {
            let read = |(id, container): &(ServerId, &'a str)| {
                Some((*id, *container, tree.read(layout, container, disks, text).ok()?))
            };
            containers.iter().filter_map(read).collect()
        };
        let found = self.layout.as_ref().map(&mut all).unwrap_or_default();
        let is_due = self.searched.is_none_or(|at| now.saturating_duration_since(at) >= SEARCH_EVERY);
        if !found.is_empty() || containers.is_empty() || !is_due {
            return found;
        }
        // Nobody runs, or the engine has other settings by now.
        self.searched = Some(now);
        match containers.iter().find_map(|(_, container)| tree.layout(container)) {
            Some(layout) => {
                let found = all(&layout);
                self.layout = Some(layout);
                found
            }
            None => found,
        }
    }
}

/// Completes samples by the disk space that was measured last.
fn put_disk_space(samples: &mut HashMap<ServerId, Sample>, disks: &BTreeMap<ServerId, DiskUse>) {
    for (id, sample) in samples {
        sample.disk = disks.get(id).map(|disk| disk.bytes);
    }
}

impl Last {
    /// Returns the use from here to `next`; `None` if the counters began anew in between.
    fn until(&self, next: &Self, elapsed: Duration) -> Option<Sample> {
        if self.container != next.container {
            return None;
        }
        let micros = next.reading.cpu_micros.checked_sub(self.reading.cpu_micros)?;
        Some(Sample {
            cpu_millis: rate(u128::from(micros), elapsed),
            memory: next.reading.memory,
            processes: u32::try_from(next.reading.processes).unwrap_or(u32::MAX),
            network: self.passed.zip(next.passed).and_then(|(before, after)| {
                let received = after.received.checked_sub(before.received)?;
                let sent = after.sent.checked_sub(before.sent)?;
                Some(Traffic { received: bytes(received, elapsed), sent: bytes(sent, elapsed) })
            }),
            io: self.reading.moved.zip(next.reading.moved).and_then(|(before, after)| {
                let written = match before.written.zip(after.written) {
                    Some((before, after)) => Some(bytes(after.checked_sub(before)?, elapsed)),
                    None => None,
                };
                Some(DiskTraffic { read: bytes(after.read.checked_sub(before.read)?, elapsed), written })
            }),
            disk: None,
        })
    }
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
