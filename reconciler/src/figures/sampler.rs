//! The sampler: reads every server's counters again and again, and makes samples of them.
//!
//! A sample costs four files a server and one file for all of their links. Servers come and go between two samples; one
//! whose files can't be read doesn't run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant};

use berth_schema::name::ServerId;
use berth_wire::figures::{DiskTraffic, DiskUse, Sample, Traffic};
use jiff::Timestamp;

use super::cgroup::{Layout, Reading, Tree};
use super::disk_traffic::Disks;
use super::traffic::{self, Passed};
use super::{EVERY, Use};
use crate::servers::{Seen, Servers};

/// Time between two searches for the place of containers, while they aren't where they were.
const SEARCH_EVERY: Duration = Duration::from_secs(60);

/// Samples what servers use, forever.
pub async fn watch(servers: Servers, used: Use) {
    let mut sampler = Sampler::new(tree());
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
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
pub(super) struct Sampler {
    tree: Option<Tree>,
    layout: Option<Layout>,
    searched: Option<Instant>,
    /// Time of the last sample.
    at: Option<Instant>,
    last: HashMap<ServerId, Last>,
    disks: Disks,
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
    pub(super) fn new(tree: Option<Tree>) -> Self {
        Self {
            tree,
            layout: None,
            searched: None,
            at: None,
            last: HashMap::new(),
            disks: Disks::default(),
            text: String::new(),
        }
    }

    fn work(&mut self, seen: &Seen, used: &Use) {
        let Some(platform) = &seen.platform else { return };
        let passed = traffic::read(platform.as_str());
        let containers: Vec<(ServerId, &str)> = seen.containers().collect();
        let (missed, mut samples) = self.sample(&containers, &passed, Instant::now());
        let mut used = used.0.lock();
        put_disk_space(&mut samples, &used.disks);
        used.sort_out(&containers);
        used.rings.push(Timestamp::now(), missed, samples, |id| seen.servers.contains_key(&id));
        used.counters = self.last.iter().map(|(id, last)| (*id, last.reading)).collect();
    }

    /// Reads the counters of these containers, and returns what they used since the last time, with the number of samples
    /// that were missed in between.
    pub(super) fn sample(
        &mut self,
        containers: &[(ServerId, &str)],
        passed: &HashMap<ServerId, Passed>,
        now: Instant,
    ) -> (usize, HashMap<ServerId, Sample>) {
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
        (elapsed.map_or(0, missed), samples)
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

/// Bytes a second.
fn bytes(number: u64, elapsed: Duration) -> u32 {
    rate(u128::from(number) * 1000, elapsed)
}

/// Thousandths of `amount` a microsecond: thousandths of a processor for microseconds of it, and bytes a second for
/// thousandths of bytes.
fn rate(amount: u128, elapsed: Duration) -> u32 {
    u32::try_from(amount * 1000 / elapsed.as_micros().max(1)).unwrap_or(u32::MAX)
}

/// Number of samples that weren't taken in this time.
fn missed(elapsed: Duration) -> usize {
    let steps = (elapsed.as_millis() + EVERY.as_millis() / 2) / EVERY.as_millis();
    usize::try_from(steps).unwrap_or(usize::MAX).saturating_sub(1)
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
