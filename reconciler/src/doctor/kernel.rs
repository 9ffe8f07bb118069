//! What the kernel has put down in a network namespace: neighbours, and connections that it tracks. Read only.

use std::collections::BTreeMap;
use std::fs;

use berth_link::Namespace;

/// Who is a neighbour at which hardware address.
pub(crate) type Table = BTreeMap<String, String>;

/// The kernel, as seen from a namespace; `None` knows nothing.
pub(crate) struct Kernel<'a>(pub(crate) Option<&'a Namespace>);

impl Kernel<'_> {
    /// The neighbours (proc(5), `net/arp`). Those that were only asked for aren't known, and are not in it.
    pub(crate) fn neighbours(&self) -> Table {
        let text = self.read("/proc/thread-self/net/arp");
        let entry = |line: &str| {
            let mut fields = line.split_whitespace();
            let (address, mac) = (fields.next()?, fields.nth(2)?);
            (mac != "00:00:00:00:00:00").then(|| (address.to_owned(), mac.to_owned()))
        };
        text.lines().skip(1).filter_map(entry).collect()
    }

    /// How many connections are tracked.
    pub(crate) fn tracked(&self) -> u64 {
        self.read("/proc/sys/net/netfilter/nf_conntrack_count").trim().parse().unwrap_or_default()
    }

    fn read(&self, path: &str) -> String {
        let Some(namespace) = self.0 else { return String::new() };
        namespace.run(|| fs::read_to_string(path).unwrap_or_default()).unwrap_or_default()
    }
}
