//! Figures: what servers use of the host, and how full the image cache is. Shown, and never decided by.
//!
//! A server's come from the files of its cgroup and of the user plane's interfaces, ten seconds apart. The engine isn't
//! asked: it would ask the same files, once for each server, and takes a second to answer.

pub mod cache;
mod cgroup;
mod ring;
mod sampler;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::name::ServerId;
use berth_wire::figures::Figures;
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
}

impl Default for Used {
    fn default() -> Self {
        Self { rings: Rings::new(EVERY, KEPT), counters: BTreeMap::new() }
    }
}

impl Use {
    /// Returns the past of these servers; `None` before the first sample.
    pub fn past(&self, servers: &[ServerId]) -> Option<Figures> {
        self.0.lock().rings.past(servers)
    }

    /// Returns the newest sample of every server; `None` before the first.
    pub fn newest(&self) -> Option<Figures> {
        self.0.lock().rings.newest()
    }

    /// Returns the counters of the servers that ran at the last sample.
    pub fn counters(&self) -> BTreeMap<ServerId, Reading> {
        self.0.lock().counters.clone()
    }
}
