//! Metrics: a snapshot of everything that they are made of. The names and the text are [`berth_metrics`]'.
//!
//! Other processes leave what they count in files of their own, which are read as strangers': some of these processes listen to a
//! network.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_backup::{Drills, Runs};
use berth_count::{COUNTS_FILE, Counts, Left, Process};
use berth_door::GATE_COUNTS;
use berth_metrics::{Certificate, Io, Network, ServerMetrics, Snapshot, Usage, Wanted};
use berth_plan::system::tickets;
use berth_schema::State;
use berth_schema::name::{Prefix, ServerId};
use berth_wire::certificate::CertificateStanding;
use berth_wire::status::ServerRow;
use berth_wire::{Ended, PassRecord, Status};
use jiff::Timestamp;

use crate::certificates::Sites;
use crate::figures::{Counters, Reading, Use};
use crate::servers::{Known, Seen};
use crate::settings::Settings;

/// Folders in which other processes leave what they tell.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// The door's own.
    door: PathBuf,
    /// The panel's own.
    panel: PathBuf,
    /// The folder of the account at the CA.
    acme: PathBuf,
    /// The folder of backups.
    backup: PathBuf,
}

/// The state's part in metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The place for scrapers.
    pub listen: Option<SocketAddr>,
    /// Names of domains.
    pub(crate) domains: BTreeSet<String>,
}

impl Told {
    /// The part of this state.
    pub fn of(state: &State) -> Self {
        let listen = state.platform.metrics.as_ref().map(|metrics| metrics.listen);
        Self { listen, domains: state.domains.keys().map(ToString::to_string).collect() }
    }

    /// Returns whether a certificate is for a name of the state. The web server keeps those of others, too.
    fn has(&self, name: &str) -> bool {
        name.starts_with("*.") || self.domains.contains(name)
    }
}

impl Folders {
    /// Folders of this host.
    pub fn of(settings: &Settings) -> Self {
        Self {
            door: settings.data.join(berth_door::FOLDER),
            panel: settings.panel_data(),
            acme: settings.acme_folder(),
            backup: settings.data.join(berth_backup::FOLDER),
        }
    }

    /// The panel's own.
    pub(crate) fn panel(&self) -> &Path {
        &self.panel
    }

    /// The folder of the account at the CA.
    pub(crate) fn acme(&self) -> &Path {
        &self.acme
    }

    /// Counts of all processes together.
    fn counts(&self, platform: Option<&Prefix>) -> Counts {
        let mut counts = berth_count::now().only(Process::Reconciler);
        let places = [
            (Process::Door, self.door.join(COUNTS_FILE)),
            (Process::Gate, self.door.join(GATE_COUNTS)),
            (Process::Panel, self.panel.join(COUNTS_FILE)),
        ];
        let router =
            platform.map(|prefix| (Process::Router, PathBuf::from(tickets(prefix)).join(COUNTS_FILE)));
        for (process, place) in places.into_iter().chain(router) {
            counts.add(&Left::at(place).read().only(process));
        }
        counts
    }
}

/// Everything that a snapshot is made of.
pub(crate) struct Sources<'a> {
    pub(crate) folders: &'a Folders,
    pub(crate) told: Option<Told>,
    pub(crate) status: Option<Status>,
    pub(crate) seen: &'a Seen,
    pub(crate) used: &'a Use,
    pub(crate) sites: &'a Sites,
}

impl Sources<'_> {
    /// Takes a snapshot.
    pub(crate) fn snapshot(self) -> Arc<Snapshot> {
        let servers = self.servers();
        let certificates = self.certificates();
        Arc::new(Snapshot {
            is_up: true,
            servers,
            certificates,
            host: self.used.host(),
            // Whoever can't read it says so by having none.
            last_backup: Runs::of(&self.folders.backup).last_complete().ok().flatten(),
            last_drill: Drills::of(&self.folders.backup).last_passed().ok().flatten(),
            counts: self.folders.counts(self.seen.platform.as_ref()),
            status: self.status,
            at: Timestamp::now(),
        })
    }

    fn servers(&self) -> Vec<ServerMetrics> {
        let rows = self.status.iter().flat_map(|status| &status.servers);
        let rows: HashMap<u32, &ServerRow> = rows.map(|row| (row.id, row)).collect();
        let (counters, disks) = (self.used.counters(), self.used.disks());
        let full = self.used.out_of_memory();
        let one = |(id, known): (&ServerId, &Known)| {
            let counters = counters.get(id);
            ServerMetrics {
                id: u32::from(id.0),
                name: known.name.clone(),
                wanted: rows.get(&u32::from(id.0)).map(|row| wanted(row)),
                container: known.container.clone(),
                cgroup: counters.map(|counters| counters.cgroup.clone()).unwrap_or_default(),
                usage: counters.map(|counters| usage(&counters.reading)),
                network: counters.and_then(network),
                out_of_memory: full.get(id).map(|full| full.times).unwrap_or_default(),
                disk: disks.get(id).map(|disk| disk.bytes),
                inodes: disks.get(id).map(|disk| disk.inodes),
            }
        };
        self.seen.servers.iter().map(one).collect()
    }

    fn certificates(&self) -> Vec<Certificate> {
        let panel = CertificateStanding::read(&self.folders.panel);
        let panel = panel.and_then(|panel| {
            // Its words are the panel's, and a name is all that they may be here.
            let domain = panel.domain.parse::<berth_schema::name::Fqdn>().ok()?.to_string();
            Some(Certificate { domain, of: "panel", ends: panel.ends? })
        });
        let told = self.told.clone().unwrap_or_default();
        let mut sites: Vec<Certificate> = self
            .sites
            .held()
            .into_iter()
            .filter(|(domain, _)| told.has(domain))
            .map(|(domain, ends)| Certificate { domain, of: "site", ends })
            .collect();
        sites.sort_by(|one, other| one.domain.cmp(&other.domain));
        panel.into_iter().chain(sites).collect()
    }
}

fn wanted(row: &ServerRow) -> Wanted {
    Wanted {
        owner: row.owner.clone(),
        state: row.wanted,
        image: row.image.clone(),
        nano_cpus: row.nano_cpus,
        memory: row.memory,
    }
}

fn usage(reading: &Reading) -> Usage {
    Usage {
        cpu_micros: reading.cpu_micros,
        working_set: reading.memory,
        memory: reading.usage,
        threads: reading.processes,
        io: reading.moved.map(|moved| Io { read: moved.read, written: moved.written }),
        oom_kills: reading.oom_kills,
    }
}

fn network(counters: &Counters) -> Option<Network> {
    counters.passed.map(|passed| Network { received: passed.received, sent: passed.sent })
}

/// Counts a pass that took so long.
pub(crate) fn count_pass(record: &PassRecord, took: std::time::Duration) {
    use berth_count::{Counted, Timed, count};
    count(if record.is_clean() { Counted::PassClean } else { Counted::PassUnclean }, 1);
    berth_count::took(Timed::Pass, took);
    for outcome in &record.outcomes {
        let result = match outcome.result {
            Ended::Done => Counted::ChangeDone,
            Ended::Failed { .. } => Counted::ChangeFailed,
            Ended::Interrupted => Counted::ChangeInterrupted,
        };
        count(result, 1);
        count(Counted::Steps, u64::try_from(outcome.steps_done).unwrap_or_default());
        berth_count::took(Timed::Change, std::time::Duration::from_millis(outcome.millis));
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
