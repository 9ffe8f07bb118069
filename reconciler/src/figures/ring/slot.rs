//! A sample in a place: in memory with its time, in a file with a check besides.

use berth_wire::figures::{DiskTraffic, Sample, Traffic};

/// Numbers of a sample.
const NUMBERS: usize = 8;
/// Bytes of a sample in a file: its time, its numbers, and the check.
pub(super) const BYTES: usize = 4 * (NUMBERS + 2);
/// An unknown number.
const UNKNOWN: u32 = u32::MAX;

/// A place for a sample. Four gigabytes a second, and four tebibytes of memory and of disk are the most that it can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Number of its time; 0 where nothing was put.
    step: u32,
    numbers: [u32; NUMBERS],
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 10).unwrap_or(u32::MAX)
}

fn maybe(number: Option<u32>) -> u32 {
    number.map_or(UNKNOWN, |number| number.min(UNKNOWN - 1))
}

fn known(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number != UNKNOWN)
}

impl Slot {
    pub(super) fn of(step: u32, sample: Sample) -> Self {
        let Sample { cpu_millis, memory, processes, network, io, disk } = sample;
        let numbers = [
            cpu_millis,
            kib(memory),
            processes,
            maybe(network.map(|traffic| traffic.received)),
            maybe(network.map(|traffic| traffic.sent)),
            maybe(io.map(|traffic| traffic.read)),
            maybe(io.and_then(|traffic| traffic.written)),
            maybe(disk.map(kib)),
        ];
        Self { step, numbers }
    }

    /// The sample, if it is of this time.
    pub(super) fn sample(&self, step: u32) -> Option<Sample> {
        if self.step != step || step == 0 {
            return None;
        }
        let [cpu_millis, memory, processes, received, sent, read, written, disk] = self.numbers;
        let network = known(received).zip(known(sent));
        Some(Sample {
            cpu_millis,
            memory: u64::from(memory) << 10,
            processes,
            network: network.map(|(received, sent)| Traffic { received, sent }),
            io: known(read).map(|read| DiskTraffic { read, written: known(written) }),
            disk: known(disk).map(|kib| u64::from(kib) << 10),
        })
    }

    /// Bytes for a file.
    pub(super) fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let words = std::iter::once(self.step).chain(self.numbers);
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let (told, check) = bytes.split_at_mut(BYTES - 4);
        check.copy_from_slice(&check_of(told));
        bytes
    }

    /// Reads bytes of a file; nothing is in those that were half written.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let Some((told, check)) = bytes.split_at_checked(BYTES - 4) else { return Self::default() };
        if check != check_of(told) {
            return Self::default();
        }
        let mut words = told.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let step = words.next().unwrap_or_default();
        Self { step, numbers: std::array::from_fn(|_| words.next().unwrap_or_default()) }
    }
}

fn check_of(told: &[u8]) -> [u8; 4] {
    let [one, two, three, four, ..] = *blake3::hash(told).as_bytes();
    [one, two, three, four]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_small_as_promised_and_comes_back() {
        assert_eq!((size_of::<Slot>(), BYTES), (36, 40));
        let most = Sample {
            cpu_millis: u32::MAX,
            memory: u64::MAX,
            processes: 1,
            network: Some(Traffic { received: u32::MAX, sent: 0 }),
            io: Some(DiskTraffic { read: 7, written: Some(u32::MAX) }),
            disk: Some(u64::MAX),
        };
        let bytes = u64::from(u32::MAX) << 10;
        let expected = Sample {
            memory: bytes,
            network: Some(Traffic { received: u32::MAX - 1, sent: 0 }),
            io: Some(DiskTraffic { read: 7, written: Some(u32::MAX - 1) }),
            disk: Some(bytes - 1024),
            ..most
        };
        let io = Some(DiskTraffic { read: 0, written: None });
        let least = Sample { cpu_millis: 0, memory: 0, processes: 0, network: None, io, disk: None };
        for (put, told) in [(most, expected), (least, least)] {
            let slot = Slot::of(9, put);
            assert_eq!(Slot::read(&slot.bytes()), slot);
            assert_eq!(slot.sample(9), Some(told));
            assert_eq!((slot.sample(8), slot.sample(10)), (None, None), "it is of another time");
        }
    }

    #[test]
    fn what_was_half_written_is_nothing() {
        let sample =
            Sample { cpu_millis: 3, memory: 1 << 20, processes: 2, network: None, io: None, disk: None };
        let whole = Slot::of(9, sample).bytes();
        let other = Slot::of(10, sample).bytes();
        for written in 1..BYTES {
            let mut half = other;
            half[..written].copy_from_slice(&whole[..written]);
            let read = Slot::read(&half);
            assert!(read == Slot::default() || half == whole || half == other, "{written}: {read:?}");
        }
        assert_eq!(Slot::read(&[0; BYTES]), Slot::default());
        assert_eq!(Slot::read(&whole[1..]), Slot::default());
    }
}
