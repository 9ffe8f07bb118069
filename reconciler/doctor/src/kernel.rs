//! The kernel's figures of a network namespace: neighbours, tracked connections, packets that came. Read only. A figure
//! that can't be read is an error, not a zero.

use std::collections::BTreeMap;
use std::fs;

use berth_link::Namespace;

use crate::error::DoctorError;

/// Hardware addresses of neighbours, by address and interface.
pub(crate) type Table = BTreeMap<String, String>;

/// The kernel, as seen from a namespace.
pub(crate) struct Kernel<'a>(pub(crate) &'a Namespace);

impl Kernel<'_> {
    /// Reads the neighbours (proc(5), `net/arp`). One that was only asked for has no hardware address, and takes room all the
    /// same.
    pub(crate) fn neighbours(&self) -> Result<Table, DoctorError> {
        let text = self.read("/proc/thread-self/net/arp")?;
        let entry = |line: &str| {
            let mut fields = line.split_whitespace();
            let (address, mac, interface) = (fields.next()?, fields.nth(2)?, fields.last()?);
            Some((format!("{address} ({interface})"), mac.to_owned()))
        };
        Ok(text.lines().skip(1).filter_map(entry).collect())
    }

    /// Counts the tracked connections.
    pub(crate) fn tracked(&self) -> Result<u64, DoctorError> {
        const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
        self.read(COUNT)?.trim().parse().map_err(|_| unreadable(COUNT, "no number is in it"))
    }

    /// Counts the packets that an interface has received (proc(5), `net/dev`: the second number behind its name).
    pub(crate) fn received(&self, interface: &str) -> Result<u64, DoctorError> {
        const DEVICES: &str = "/proc/thread-self/net/dev";
        let text = self.read(DEVICES)?;
        let count = text.lines().find_map(|line| {
            let (name, numbers) = line.split_once(':')?;
            (name.trim() == interface).then(|| numbers.split_whitespace().nth(1)?.parse().ok())?
        });
        count.ok_or_else(|| unreadable(DEVICES, &format!("{interface} is not in it")))
    }

    fn read(&self, path: &str) -> Result<String, DoctorError> {
        let read = self.0.run(|| fs::read_to_string(path))?;
        read.map_err(|error| unreadable(path, &error.to_string()))
    }
}

fn unreadable(path: &str, why: &str) -> DoctorError {
    DoctorError::Kernel { path: path.to_owned(), why: why.to_owned() }
}
