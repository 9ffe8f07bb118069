//! Figures: what servers use of the host, and how full the image cache is. Shown, and never decided by.
//!
//! What a server does comes from the files of its cgroup and of the user plane's interfaces, ten seconds apart. The engine isn't
//! asked: it would ask the same files, once for each server, and takes a second to answer. The disk space
//! that it takes is measured in the background, since only a walk through its files tells it.

pub mod cache;
mod cgroup;
pub mod disk;
mod disk_traffic;
mod ring;
mod sampler;
mod traffic;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use berth_schema::name::ServerId;
use berth_wire::figures::{DiskUse, Figures, OutOfMemory, ServerFigures};
use jiff::Timestamp;
use parking_lot::Mutex;

pub use cgroup::Reading;
use ring::Rings;
pub use sampler::watch;

/// Time from one sample to the next.
const EVERY: Duration = Duration::from_secs(10);
/// Samples that are kept of a server: an hour.
const KEPT: usize = 360;

/// Figures of servers. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Use(Arc<Mutex<Used>>);

#[derive(Debug)]
struct Used {
    rings: Rings,
    /// Counters as they were last read, for whoever computes rates from them.
    counters: BTreeMap<ServerId, Reading>,
    /// Disk space as it was measured last.
    disks: BTreeMap<ServerId, DiskUse>,
    /// Containers whose memory was full, by the engine's ids, whosever they are.
    full: HashMap<String, OutOfMemory>,
    /// Those of servers, as of the last sample.
    out_of_memory: BTreeMap<ServerId, OutOfMemory>,
}

impl Default for Used {
    fn default() -> Self {
        Self {
            rings: Rings::new(EVERY, KEPT),
            counters: BTreeMap::new(),
            disks: BTreeMap::new(),
            full: HashMap::new(),
            out_of_memory: BTreeMap::new(),
        }
    }
}

impl Use {
    /// Notes that the memory of a container was full at that time, and that the kernel ended a program in it.
    pub fn ran_out_of_memory(&self, container: String, at: Timestamp) {
        let mut used = self.0.lock();
        let known = used.full.entry(container).or_insert(OutOfMemory { times: 0, last: at });
        *known = OutOfMemory { times: known.times.saturating_add(1), last: at };
    }

    /// Returns how often the memory of servers was full.
    pub fn out_of_memory(&self) -> BTreeMap<ServerId, OutOfMemory> {
        self.0.lock().out_of_memory.clone()
    }

    /// Returns the past of these servers; `None` before the first sample.
    pub fn past(&self, servers: &[ServerId]) -> Option<Figures> {
        let used = self.0.lock();
        used.rings.past(servers).map(|figures| used.completed(figures, |id| servers.contains(&id)))
    }

    /// Returns the newest sample of every server; `None` before the first.
    pub fn newest(&self) -> Option<Figures> {
        let used = self.0.lock();
        used.rings.newest().map(|figures| used.completed(figures, |_| true))
    }

    /// Returns the disk space that servers take, as it was measured last.
    pub fn disks(&self) -> BTreeMap<ServerId, DiskUse> {
        self.0.lock().disks.clone()
    }

    /// Returns the counters of the servers that ran at the last sample.
    pub fn counters(&self) -> BTreeMap<ServerId, Reading> {
        self.0.lock().counters.clone()
    }
}

impl Used {
    /// Finds whose the containers are whose memory was full, and forgets those that are gone.
    fn sort_out(&mut self, containers: &[(ServerId, &str)]) {
        let full = &self.full;
        let found = containers.iter().filter_map(|(id, container)| Some((*id, *full.get(*container)?)));
        self.out_of_memory = found.collect();
        self.full.retain(|known, _| containers.iter().any(|(_, container)| container == known));
    }

    /// Adds to figures what isn't sampled. A server that doesn't run takes disk space, too.
    fn completed(&self, mut figures: Figures, is_asked: impl Fn(ServerId) -> bool) -> Figures {
        let asked = self.disks.iter().filter(|(id, _)| is_asked(**id));
        let mut disks: BTreeMap<ServerId, DiskUse> = asked.map(|(id, disk)| (*id, *disk)).collect();
        for server in &mut figures.servers {
            server.disk = disks.remove(&server.id);
            server.out_of_memory = self.out_of_memory.get(&server.id).copied();
        }
        let others = disks.into_iter();
        figures.servers.extend(others.map(|(id, disk)| ServerFigures {
            id,
            samples: Vec::new(),
            disk: Some(disk),
            out_of_memory: self.out_of_memory.get(&id).copied(),
        }));
        figures
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use berth_wire::figures::{Extent, Sample};

    use super::*;

    #[test]
    fn a_server_that_does_not_run_still_takes_disk_space() {
        let id = |number: u32| ServerId(number.try_into().unwrap());
        let used = Use::default();
        let disk = DiskUse { bytes: 7, at: Timestamp::UNIX_EPOCH, extent: Extent::Whole };
        {
            let mut used = used.0.lock();
            used.disks = BTreeMap::from([(id(1), disk), (id(2), disk), (id(3), disk)]);
            let sample = Sample {
                cpu_millis: 1,
                memory: 0,
                processes: 1,
                network: None,
                io: None,
                disk: Some(7 << 10),
            };
            used.rings.push(Timestamp::UNIX_EPOCH, 0, [(id(1), sample)].into(), |_| true);
        }
        let found = |figures: Option<Figures>| -> Vec<(ServerId, usize, Option<DiskUse>)> {
            let servers = figures.unwrap().servers.into_iter();
            servers.map(|server| (server.id, server.samples.len(), server.disk)).collect()
        };
        let [runs, off] = [(id(1), 1, Some(disk)), (id(2), 0, Some(disk))];
        assert_eq!(found(used.past(&[id(1), id(2), id(9)])), [runs, off]);
        assert_eq!(found(used.newest()), [runs, off, (id(3), 0, Some(disk))]);
    }
}
