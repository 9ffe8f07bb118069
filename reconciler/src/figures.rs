//! Figures: what servers use of the host, and how full the image cache is. Shown, and never decided by.
//!
//! A server's figures come from the files of its cgroup and of the user plane's interfaces, five seconds apart, and what the host does
//! from the kernel's. The engine isn't asked: it would ask the same files, once for each server, and takes a second to answer. The disk
//! space that a server takes is measured in the background, since only a walk through its files tells it.

pub mod cache;
mod cgroup;
pub mod disk;
mod disk_traffic;
mod host;
mod rate;
mod ring;
mod sampler;
mod traffic;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use berth_metrics::HostFigures;
use berth_schema::name::ServerId;
use berth_wire::figures::{DiskUse, Figures, HostUse, OutOfMemory, Sample, ServerFigures, Span};
use jiff::Timestamp;
use parking_lot::Mutex;

pub use cgroup::Reading;
use ring::{Past, Rings, Whose, trimmed, write};
pub use sampler::{Sampler, watch};
pub use traffic::Passed;

/// Figures of servers. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Use(Arc<Mutex<Used>>);

#[derive(Debug, Default)]
struct Used {
    rings: Rings,
    /// Counters as they were last read, for whoever computes rates from them.
    counters: BTreeMap<ServerId, Counters>,
    /// The host as it was last read.
    host: Option<HostFigures>,
    /// Folders whose file systems the platform fills.
    places: Vec<PathBuf>,
    /// Disk space as it was measured last.
    disks: BTreeMap<ServerId, DiskUse>,
    /// Containers whose memory was full, by the engine's ids, whosever they are.
    full: HashMap<String, OutOfMemory>,
    /// Those of servers, as of the last sample.
    out_of_memory: BTreeMap<ServerId, OutOfMemory>,
}

/// Counters of a server that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Path of its cgroup.
    pub cgroup: String,
    /// Counters of its cgroup.
    pub reading: Reading,
    /// Counters of its link; `None` where it has none.
    pub passed: Option<Passed>,
}

/// Past that was asked for, of which a part may have to be read.
#[derive(Debug)]
pub struct Asked {
    figures: Figures,
    span: Span,
    /// Files of those servers whose samples are there, in the order of the figures.
    files: Vec<Option<Past>>,
}

impl Asked {
    /// Reads what is in files.
    pub fn read(self) -> Figures {
        let Self { mut figures, span, files } = self;
        for (server, past) in figures.servers.iter_mut().zip(files) {
            if let Some(past) = past {
                server.samples = trimmed(past.read(span, figures.at));
            }
        }
        figures.servers.retain(|server| {
            server.now.is_some() || server.disk.is_some() || server.samples.iter().any(Option::is_some)
        });
        figures
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

    /// Folders whose file systems the platform fills: this one, and the engine's once one of them is known.
    pub fn at(place: PathBuf) -> Self {
        let used = Self::default();
        used.0.lock().places.push(place);
        used
    }

    fn places(&self) -> Vec<PathBuf> {
        self.0.lock().places.clone()
    }

    /// Learns folders of the engine's, where they aren't known.
    fn learn_place(&self, folders: &[PathBuf]) {
        let mut used = self.0.lock();
        // A folder goes with its server, so the newest one counts.
        if let Some(folder) = folders.first() {
            used.places.truncate(1);
            used.places.push(folder.clone());
        }
    }

    /// Returns the past of these servers; `None` before the first sample.
    pub fn past(&self, servers: &[ServerId], span: Span) -> Option<Asked> {
        let used = self.0.lock();
        let at = used.rings.at()?;
        let mut files = Vec::new();
        let one = |id: &ServerId| {
            let whose = Whose::Server(*id);
            let in_memory = span == Span::Hour;
            files.push((!in_memory).then(|| used.rings.path(whose)).flatten().map(Past::of));
            let samples = if in_memory { used.rings.hour(whose) } else { Vec::new() };
            used.figures_of(*id, samples)
        };
        let servers = servers.iter().map(one).collect();
        let figures = Figures { at, every: span.every(), host: None, servers };
        Some(Asked { figures, span, files })
    }

    /// Returns the newest sample of every server and of the host; `None` before the first.
    pub fn newest(&self) -> Option<Figures> {
        let used = self.0.lock();
        let at = used.rings.at()?;
        let running = used.rings.sampled().filter_map(|whose| match whose {
            Whose::Server(id) => Some(id),
            Whose::Host => None,
        });
        let mut ids: Vec<ServerId> = running.chain(used.disks.keys().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let servers = ids.into_iter().map(|id| used.figures_of(id, Vec::new())).collect();
        Some(Figures { at, every: Span::Hour.every(), host: used.host_use(), servers })
    }

    /// Returns the host as it was last read.
    pub fn host(&self) -> Option<HostFigures> {
        self.0.lock().host.clone()
    }

    /// Keeps what isn't written yet, at the end of the process.
    pub fn keep(&self) {
        let minutes = self.0.lock().rings.minutes(None);
        write(minutes, &mut false);
    }

    /// Has a server run, with these counters.
    #[cfg(test)]
    pub(crate) fn pretend(&self, id: ServerId, counters: Counters) {
        self.0.lock().counters.insert(id, counters);
    }

    /// Returns the disk space that servers take, as it was measured last.
    pub fn disks(&self) -> BTreeMap<ServerId, DiskUse> {
        self.0.lock().disks.clone()
    }

    /// Returns the counters of the servers that ran at the last sample.
    pub fn counters(&self) -> BTreeMap<ServerId, Counters> {
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

    /// Everything that is known of a server, with these samples. One that doesn't run takes disk space, too.
    fn figures_of(&self, id: ServerId, samples: Vec<Option<Sample>>) -> ServerFigures {
        ServerFigures {
            id,
            samples,
            now: self.rings.newest(Whose::Server(id)),
            disk: self.disks.get(&id).copied(),
            out_of_memory: self.out_of_memory.get(&id).copied(),
        }
    }

    fn host_use(&self) -> Option<HostUse> {
        let (host, sample) = (self.host.as_ref()?, self.rings.newest(Whose::Host)?);
        let disk = host.file_systems.last().map(|found| found.bytes).unwrap_or_default();
        Some(HostUse { processors: host.processors, memory: host.memory, disk, sample })
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
        let disk = DiskUse { bytes: 7, at: Timestamp::UNIX_EPOCH, extent: Extent::Whole, inodes: 3 };
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
            used.rings.push(
                Timestamp::from_second(1_800_000_000).unwrap(),
                [(Whose::Server(id(1)), sample)].into(),
            );
        }
        let found = |figures: Option<Figures>| -> Vec<(ServerId, usize, Option<DiskUse>)> {
            let servers = figures.unwrap().servers.into_iter();
            servers.map(|server| (server.id, server.samples.len(), server.disk)).collect()
        };
        let off = |number| (id(number), 0, Some(disk));
        let past = |span| found(used.past(&[id(1), id(2), id(9)], span).map(Asked::read));
        assert_eq!(past(Span::Hour), [(id(1), 1, Some(disk)), off(2)]);
        assert_eq!(past(Span::Day), [off(1), off(2)], "there is no folder");
        assert_eq!(found(used.newest()), [off(1), off(2), off(3)]);
        let running =
            used.newest().unwrap().servers.iter().map(|server| server.newest().is_some()).collect::<Vec<_>>();
        assert_eq!(running, [true, false, false]);
    }
}
