//! Traffic of a cgroup with disks, as the kernel counts it under v1 and v2.
//!
//! Under v1 nobody knows who wrote a page that goes to the disk later, so what is written isn't told at all. A device on top of
//! another one (LVM, encryption) counts the same bytes as that one does, and is left out.

use std::collections::HashMap;
use std::fs;

/// Bytes that went from and to disks since a container started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were written, where the kernel knows whose they are.
    pub written: Option<u64>,
}

/// Devices of the host, as they are found.
#[derive(Debug, Default)]
pub(super) struct Disks {
    /// By a device's number, set if it lies on others.
    on_others: HashMap<String, bool>,
}

impl Disks {
    /// Reads an `io.stat`: lines of `254:0 rbytes=1 wbytes=2 …`.
    pub(super) fn of_v2(&mut self, text: &str) -> Moved {
        let (mut read, mut written) = (0_u64, 0_u64);
        for line in text.lines() {
            let Some((device, counters)) = line.split_once(' ') else { continue };
            if self.is_on_others(device) {
                continue;
            }
            let counter = |name: &str| {
                let mut all = counters.split(' ').filter_map(|counter| counter.split_once('='));
                all.find(|(found, _)| *found == name).and_then(|(_, value)| value.parse::<u64>().ok())
            };
            read = read.saturating_add(counter("rbytes").unwrap_or_default());
            written = written.saturating_add(counter("wbytes").unwrap_or_default());
        }
        Moved { read, written: Some(written) }
    }

    /// Reads a `blkio.throttle.io_service_bytes_recursive`: lines of `254:0 Read 1`.
    pub(super) fn of_v1(&mut self, text: &str) -> Moved {
        let mut read = 0_u64;
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(device), Some("Read"), Some(bytes)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if !self.is_on_others(device) {
                read = read.saturating_add(bytes.parse().unwrap_or_default());
            }
        }
        Moved { read, written: None }
    }

    pub(super) fn is_on_others(&mut self, device: &str) -> bool {
        if let Some(known) = self.on_others.get(device) {
            return *known;
        }
        let below = fs::read_dir(format!("/sys/dev/block/{device}/slaves"));
        let is_on_others = below.is_ok_and(|mut below| below.next().is_some());
        self.on_others.insert(device.to_owned(), is_on_others);
        is_on_others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_added_up_but_not_those_on_others() {
        let mut disks = Disks::default();
        disks.on_others.insert("253:0".to_owned(), true);
        let v2 = "\
8:0 rbytes=100 wbytes=7 rios=1 wios=1 dbytes=0 dios=0
253:0 rbytes=100 wbytes=7 rios=1 wios=1 dbytes=0 dios=0
8:16 rbytes=11 wbytes=5 rios=1 wios=1 dbytes=0 dios=0
259:0
";
        assert_eq!(disks.of_v2(v2), Moved { read: 111, written: Some(12) });
        let v1 = "\
8:0 Read 100
8:0 Write 7
8:0 Discard 0
8:0 Total 107
253:0 Read 100
8:16 Read 11
Total 211
";
        assert_eq!(disks.of_v1(v1), Moved { read: 111, written: None });
        assert_eq!(disks.of_v2(""), Moved { read: 0, written: Some(0) });
    }
}
