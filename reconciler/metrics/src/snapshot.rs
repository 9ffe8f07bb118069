//! Snapshot: everything that metrics are made of, at one moment.

use berth_count::Counts;
use berth_schema::server::PowerState;
use berth_wire::Status;
use jiff::Timestamp;

/// Everything that metrics are made of.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Set if the reconciler answers.
    pub is_up: bool,
    /// The last status; `None` before the first pass.
    pub status: Option<Status>,
    /// The host; `None` before the first sample.
    pub host: Option<HostFigures>,
    /// The servers of the state repo, and those whose containers are still there.
    pub servers: Vec<ServerMetrics>,
    /// Certificates that visitors see.
    pub certificates: Vec<Certificate>,
    /// Moment when the last backup began that has everything; `None` where there is none.
    pub last_backup: Option<Timestamp>,
    /// Moment when the last drill began that passed; `None` where there is none.
    pub last_drill: Option<Timestamp>,
    /// Counts of all processes together.
    pub counts: Counts,
    /// Moment of the snapshot.
    pub at: Timestamp,
}

/// Figures of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFigures {
    /// Processors.
    pub processors: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Use of it.
    pub usage: Usage,
    /// Traffic of its own interfaces, without those of servers.
    pub networks: Vec<(String, Network)>,
    /// File systems that the platform writes to.
    pub file_systems: Vec<FileSystem>,
}

/// Counters and amounts of the host or of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Microseconds of processors.
    pub cpu_micros: u64,
    /// Bytes of memory without the page cache that the kernel takes back first.
    pub working_set: u64,
    /// Bytes of memory with it.
    pub memory: u64,
    /// Processes and threads.
    pub threads: u64,
    /// Traffic with disks, where the kernel counts it.
    pub io: Option<Io>,
    /// Programs that the kernel ended for want of memory, where it counts them.
    pub oom_kills: Option<u64>,
}

/// Bytes from and to disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Io {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were written; `None` where the kernel doesn't know whose they are.
    pub written: Option<u64>,
}

/// Bytes through a network interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Network {
    /// Bytes that came in.
    pub received: u64,
    /// Bytes that went out.
    pub sent: u64,
}

/// A file system of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Device, or the kind of the file system where it has none.
    pub device: String,
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes in use. What only root may fill counts as used.
    pub used: u64,
    /// Inodes in all; 0 where the file system has no fixed number.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

/// A server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerMetrics {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The state repo's words of it; `None` where it isn't there any more.
    pub wanted: Option<Wanted>,
    /// Its container's name.
    pub container: String,
    /// Path of its cgroup; empty where it doesn't run.
    pub cgroup: String,
    /// Use of the host; `None` where it doesn't run.
    pub usage: Option<Usage>,
    /// Traffic of its link; `None` where it has none.
    pub network: Option<Network>,
    /// Times that its memory was full, as the engine told.
    pub out_of_memory: u32,
    /// Bytes of disk space that it takes, as they were measured last.
    pub disk: Option<u64>,
    /// Files and folders that it has, as they were counted last.
    pub inodes: Option<u64>,
}

/// A server's part in the state repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Member who owns it.
    pub owner: String,
    /// Power state.
    pub state: PowerState,
    /// Image that it is made of.
    pub image: String,
    /// Billionths of a processor that it may use.
    pub nano_cpus: u64,
    /// Bytes of memory that it may use.
    pub memory: u64,
}

/// A certificate that visitors see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Name that it is for.
    pub domain: String,
    /// Part of the platform that shows it: `panel` or `site`.
    pub of: &'static str,
    /// Moment from which nobody accepts it any more.
    pub ends: Timestamp,
}
