//! Rings: the last samples of each server, in memory of a fixed size.
//!
//! A sample takes 32 bytes, so the hour of one server takes 11,520 and that of a thousand servers 11.5 MB, however often they
//! start and stop. After a restart of the reconciler the rings begin anew.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use berth_schema::name::ServerId;
use berth_wire::figures::{DiskTraffic, Figures, Sample, ServerFigures, Traffic};
use jiff::Timestamp;

/// The rings of all servers. All end with the same sample.
#[derive(Debug)]
pub(super) struct Rings {
    every: Duration,
    /// Samples in a full ring.
    kept: usize,
    /// Time of the newest sample.
    at: Option<Timestamp>,
    of: BTreeMap<ServerId, VecDeque<Option<Packed>>>,
}

/// A sample in few bytes: four gigabytes a second, and four tebibytes of memory and of disk are the most that it can say.
#[derive(Debug, Clone, Copy)]
struct Packed {
    /// One more than the thousandths of a processor, so that no sample takes no room of its own.
    cpu_millis: NonZeroU32,
    memory_kib: u32,
    processes: u32,
    disk_kib: Maybe,
    received: Maybe,
    sent: Maybe,
    read: Maybe,
    written: Maybe,
}

/// A number that may be unknown, in four bytes.
#[derive(Debug, Clone, Copy)]
struct Maybe(u32);

impl Maybe {
    const UNKNOWN: u32 = u32::MAX;

    fn of(number: Option<u32>) -> Self {
        Self(number.map_or(Self::UNKNOWN, |number| number.min(Self::UNKNOWN - 1)))
    }

    fn get(self) -> Option<u32> {
        Some(self.0).filter(|number| *number != Self::UNKNOWN)
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 10).unwrap_or(u32::MAX)
}

impl From<Sample> for Packed {
    fn from(sample: Sample) -> Self {
        let Sample { cpu_millis, memory, processes, network, io, disk } = sample;
        Self {
            cpu_millis: NonZeroU32::MIN.saturating_add(cpu_millis),
            memory_kib: kib(memory),
            processes,
            disk_kib: Maybe::of(disk.map(kib)),
            received: Maybe::of(network.map(|traffic| traffic.received)),
            sent: Maybe::of(network.map(|traffic| traffic.sent)),
            read: Maybe::of(io.map(|traffic| traffic.read)),
            written: Maybe::of(io.and_then(|traffic| traffic.written)),
        }
    }
}

impl From<Packed> for Sample {
    fn from(packed: Packed) -> Self {
        let network = packed.received.get().zip(packed.sent.get());
        Self {
            cpu_millis: packed.cpu_millis.get() - 1,
            memory: u64::from(packed.memory_kib) << 10,
            processes: packed.processes,
            network: network.map(|(received, sent)| Traffic { received, sent }),
            io: packed.read.get().map(|read| DiskTraffic { read, written: packed.written.get() }),
            disk: packed.disk_kib.get().map(|kib| u64::from(kib) << 10),
        }
    }
}

impl Rings {
    /// Rings of this many samples, this far apart.
    pub(super) fn new(every: Duration, kept: usize) -> Self {
        Self { every, kept, at: None, of: BTreeMap::new() }
    }

    /// Adds the samples of one moment, after as many moments without any as were missed. `is_known` says which servers there
    /// still are: what is kept of others goes, and so does a ring in which nothing is left.
    pub(super) fn push(
        &mut self,
        at: Timestamp,
        missed: usize,
        mut samples: HashMap<ServerId, Sample>,
        is_known: impl Fn(ServerId) -> bool,
    ) {
        self.at = Some(at);
        let kept = self.kept;
        self.of.retain(|id, _| is_known(*id));
        for id in samples.keys() {
            self.of.entry(*id).or_insert_with(|| VecDeque::with_capacity(kept));
        }
        self.of.retain(|id, ring| {
            let nothing = std::iter::repeat_n(None, missed.min(kept));
            for sample in nothing.chain([samples.remove(id).map(Packed::from)]) {
                if ring.len() == kept {
                    ring.pop_front();
                }
                // One that is new has no past.
                if sample.is_some() || !ring.is_empty() {
                    ring.push_back(sample);
                }
            }
            ring.iter().any(Option::is_some)
        });
    }

    /// Returns the past of these servers, as far as anything is known of them; `None` before the first sample.
    pub(super) fn past(&self, servers: &[ServerId]) -> Option<Figures> {
        let found = servers.iter().filter_map(|id| self.of.get_key_value(id));
        self.figures(found.map(|(id, ring)| ServerFigures {
            id: *id,
            samples: ring.iter().map(|sample| sample.map(Sample::from)).collect(),
            disk: None,
            out_of_memory: None,
        }))
    }

    /// Returns the newest sample of every server; `None` before the first.
    pub(super) fn newest(&self) -> Option<Figures> {
        self.figures(self.of.iter().map(|(id, ring)| ServerFigures {
            id: *id,
            samples: ring.back().map(|sample| sample.map(Sample::from)).into_iter().collect(),
            disk: None,
            out_of_memory: None,
        }))
    }

    fn figures(&self, servers: impl Iterator<Item = ServerFigures>) -> Option<Figures> {
        let every = u32::try_from(self.every.as_secs()).unwrap_or(u32::MAX);
        Some(Figures { at: self.at?, every, servers: servers.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ServerId {
        ServerId(number.try_into().unwrap())
    }

    fn sample(processes: u32) -> Sample {
        Sample { cpu_millis: 250, memory: 3 << 20, processes, network: None, io: None, disk: None }
    }

    /// The processes of every sample that is kept of a server.
    fn past(rings: &Rings, number: u32) -> Vec<Option<u32>> {
        let found = rings.past(&[id(number)]).unwrap().servers.pop();
        let samples = found.map(|found| found.samples).unwrap_or_default();
        samples.into_iter().map(|sample| sample.map(|sample| sample.processes)).collect()
    }

    #[test]
    fn a_ring_keeps_the_newest_and_ends_with_the_others() {
        let mut rings = Rings::new(Duration::from_secs(10), 3);
        assert_eq!(rings.past(&[id(1)]), None);
        let push = |rings: &mut Rings, missed, samples: &[(u32, u32)]| {
            let samples = samples.iter().map(|(number, processes)| (id(*number), sample(*processes)));
            rings.push(Timestamp::UNIX_EPOCH, missed, samples.collect(), |_| true);
        };
        push(&mut rings, 0, &[(1, 5)]);
        push(&mut rings, 0, &[(1, 6), (2, 7)]);
        assert_eq!((past(&rings, 1), past(&rings, 2)), (vec![Some(5), Some(6)], vec![Some(7)]));
        push(&mut rings, 0, &[(2, 8)]);
        push(&mut rings, 0, &[(1, 9), (2, 9)]);
        assert_eq!(past(&rings, 1), [Some(6), None, Some(9)]);
        assert_eq!(past(&rings, 2), [Some(7), Some(8), Some(9)]);
        // The machine slept.
        push(&mut rings, 1, &[(2, 10)]);
        assert_eq!(
            (past(&rings, 1), past(&rings, 2)),
            (vec![Some(9), None, None], vec![Some(9), None, Some(10)])
        );
        let newest: Vec<_> = rings.newest().unwrap().servers.iter().map(ServerFigures::newest).collect();
        assert_eq!(newest, [None, Some(sample(10))]);
        // Nothing is left of the first, and much was missed of the second.
        push(&mut rings, 0, &[(2, 11)]);
        assert_eq!((past(&rings, 1), rings.of.len()), (vec![], 1));
        push(&mut rings, usize::MAX, &[]);
        assert_eq!(rings.of.len(), 0);
    }

    #[test]
    fn one_that_is_gone_is_forgotten() {
        let mut rings = Rings::new(Duration::from_secs(10), 3);
        let samples = || HashMap::from([(id(1), sample(1)), (id(2), sample(1))]);
        rings.push(Timestamp::UNIX_EPOCH, 0, samples(), |_| true);
        rings.push(Timestamp::UNIX_EPOCH, 0, HashMap::new(), |known| known == id(2));
        assert_eq!((past(&rings, 1), past(&rings, 2)), (vec![], vec![Some(1), None]));
    }

    #[test]
    fn a_sample_is_as_small_as_promised() {
        assert_eq!(size_of::<Option<Packed>>(), 32);
        let most = Sample {
            cpu_millis: u32::MAX,
            memory: u64::MAX,
            processes: 1,
            network: Some(Traffic { received: u32::MAX, sent: 0 }),
            io: Some(DiskTraffic { read: 7, written: Some(u32::MAX) }),
            disk: Some(u64::MAX),
        };
        let told = Sample::from(Packed::from(most));
        let bytes = u64::from(u32::MAX) << 10;
        let expected = Sample {
            cpu_millis: u32::MAX - 1,
            memory: bytes,
            network: Some(Traffic { received: u32::MAX - 1, sent: 0 }),
            io: Some(DiskTraffic { read: 7, written: Some(u32::MAX - 1) }),
            disk: Some(bytes - 1024),
            ..most
        };
        assert_eq!(told, expected);
        let io = Some(DiskTraffic { read: 0, written: None });
        let least = Sample { cpu_millis: 0, memory: 0, processes: 0, network: None, io, disk: None };
        assert_eq!(Sample::from(Packed::from(least)), least);
    }
}
