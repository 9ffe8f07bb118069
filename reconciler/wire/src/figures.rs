//! Figures: what servers use of the host, as the reconciler reads it from their cgroups. Nothing is decided by them.

use berth_schema::name::ServerId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most servers whose past one request may ask for.
pub const SERVERS_AT_ONCE: usize = 100;

/// Extent of the past, each with samples so far apart that a page has no more than it can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// An hour, by five seconds.
    #[default]
    Hour,
    /// A day, by a minute.
    Day,
    /// A month of 31 days, by an hour.
    Month,
}

impl Span {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// Seconds from one sample to the next.
    pub const fn every(self) -> u32 {
        match self {
            Self::Hour => 5,
            Self::Day => 60,
            Self::Month => 3600,
        }
    }

    /// Samples in it.
    pub const fn samples(self) -> u32 {
        match self {
            Self::Hour => 720,
            Self::Day => 1440,
            Self::Month => 744,
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// Use of servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Time of the newest sample.
    pub at: Timestamp,
    /// Seconds from one sample to the next.
    pub every: u32,
    /// The host; `None` where that can't be read, and where the past was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostUse>,
    /// The servers that were asked for and that anything is known of, by id.
    pub servers: Vec<ServerFigures>,
}

/// Use of the host by everything on it, and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostUse {
    /// Processors.
    pub processors: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the file system with the engine's data, or of the one with Berth's where that isn't known.
    pub disk: u64,
    /// Use of it, at the newest sample.
    pub sample: Sample,
}

/// Use of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFigures {
    /// The server.
    pub id: ServerId,
    /// Its samples, the oldest first, [`Figures::every`] seconds apart; the last one was taken at [`Figures::at`], or is the mean up
    /// to it. `None` where the server didn't run. Empty where it hasn't run of late.
    pub samples: Vec<Option<Sample>>,
    /// Use at the newest sample; `None` where the server doesn't run.
    #[serde(default)]
    pub now: Option<Sample>,
    /// Disk space that it takes; `None` where that wasn't measured yet, or can't be.
    pub disk: Option<DiskUse>,
    /// Times that its memory was full; `None` where that isn't known to have happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_memory: Option<OutOfMemory>,
}

/// Times that the memory of a server was full and the kernel ended a program in it, since the reconciler or the server's
/// container began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// Number of times.
    pub times: u32,
    /// The last of them.
    pub last: Timestamp,
}

/// Disk space that a server takes, running or not, as it was measured last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// Bytes of the host's disk: of its volumes, of its container's own layer and of the files that the engine keeps for the
    /// container. Holes in files take none, and a file with several names takes its bytes once.
    pub bytes: u64,
    /// End of the measurement.
    pub at: Timestamp,
    /// Extent of the measurement.
    pub extent: Extent,
    /// Files and folders.
    #[serde(default)]
    pub inodes: u64,
}

/// Extent of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// Everything was counted.
    Whole,
    /// Something wasn't: too deep, too much, or unreadable.
    Part,
}

impl ServerFigures {
    /// Use at the newest sample; `None` where the server doesn't run.
    pub fn newest(&self) -> Option<Sample> {
        self.now
    }
}

/// Use of the host by one server at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Thousandths of a processor, on average since the sample before.
    pub cpu_millis: u32,
    /// Bytes of memory without the page cache that the kernel takes back first: its working set, as `docker stats` and
    /// cAdvisor count it.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Traffic of its link; `None` where it has none.
    pub network: Option<Traffic>,
    /// Traffic with disks; `None` where the kernel doesn't count it.
    pub io: Option<DiskTraffic>,
    /// Bytes of disk space, as they were measured last before the sample.
    pub disk: Option<u64>,
}

/// Traffic of a server's link, on average since the sample before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes a second that the server received.
    pub received: u32,
    /// Bytes a second that it sent.
    pub sent: u32,
}

/// Traffic of a server with disks, on average since the sample before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskTraffic {
    /// Bytes a second that it read from disks.
    pub read: u32,
    /// Bytes a second that it wrote to them; `None` where the kernel doesn't know whose they are (cgroup v1).
    pub written: Option<u32>,
}
