//! Records of runs, in one file: what was copied, and what failed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_host::file;
use berth_schema::name::ServerId;
use berth_wire::hold::BootProof;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Runs, and drills, that are remembered.
const KEPT: usize = 60;
/// Folder of the records, the lock and restic's cache, in the data folder.
pub const FOLDER: &str = "backup";
/// Names of the files.
const FILE: &str = "runs.json";
const DRILLS: &str = "drills.json";

/// One run: everything, or one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Set if it was for everything, and not for one server alone.
    pub whole: bool,
    /// Its parts, in their order.
    pub parts: Vec<PartRecord>,
}

/// One part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// The part.
    pub part: Part,
    /// Its end.
    pub result: PartResult,
    /// Milliseconds that it took.
    pub millis: u64,
}

/// Part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The state repo, and what Berth keeps on the host.
    Platform,
    /// The volumes of the platform's own containers.
    Volumes,
    /// A server's volumes.
    Server {
        /// The server.
        id: ServerId,
        /// Its name; `server<id>` where it is removed.
        name: String,
    },
    /// Forgetting what needn't be kept.
    Tidy,
}

/// End of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum PartResult {
    /// It is copied.
    Done {
        /// Id of the copy.
        snapshot: String,
        /// Bytes that it holds.
        bytes: u64,
        /// Bytes that the repository grew by.
        added: u64,
        /// Files that couldn't be read, such as one that went meanwhile.
        unread: u64,
        /// Milliseconds for which the server stood still.
        paused: u64,
    },
    /// Nothing was to be copied, and what was to be done is.
    Tidied,
    /// Its file says that it isn't to be copied.
    Off,
    /// It failed.
    Failed {
        /// The whole chain of causes.
        error: String,
    },
}

impl Part {
    /// The tag that copies of it have.
    pub fn tag(&self) -> String {
        match self {
            Self::Platform => "platform".to_owned(),
            Self::Volumes => "volumes".to_owned(),
            Self::Server { id, .. } => server_tag(*id),
            Self::Tidy => "tidy".to_owned(),
        }
    }
}

/// The tag of a server's copies.
pub(crate) fn server_tag(id: ServerId) -> String {
    format!("server-{id}")
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Platform => f.write_str("the platform"),
            Self::Volumes => f.write_str("the platform's volumes"),
            Self::Server { id, name } => write!(f, "server {name} (id {id})"),
            Self::Tidy => f.write_str("old copies"),
        }
    }
}

impl RunRecord {
    /// Returns whether nothing failed.
    pub fn is_clean(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part.result, PartResult::Failed { .. }))
    }
}

/// One drill: a copy of a server that was restored, read back and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DrillRecord {
    pub began: Timestamp,
    pub server: ServerId,
    pub name: String,
    /// When the copy was made.
    pub copy: Timestamp,
    pub result: DrillResult,
    /// Milliseconds that it took, from the first question to the last thing that was removed.
    pub millis: u64,
}

/// End of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum DrillResult {
    /// All of it is as it was copied, the server came up, and nothing of it is left.
    Passed {
        /// Files that were read back.
        files: u64,
        /// Milliseconds until it was up.
        boot: u64,
        /// Proof that it was.
        by: BootProof,
    },
    /// It failed.
    Failed {
        /// The whole chain of causes.
        error: String,
    },
}

impl DrillRecord {
    /// Returns whether it passed.
    pub fn is_passed(&self) -> bool {
        matches!(self.result, DrillResult::Passed { .. })
    }
}

/// The file of drills.
#[derive(Debug, Clone)]
pub struct Drills(PathBuf);

impl Drills {
    /// The drills in a folder.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join(DRILLS))
    }

    /// Reads them, the oldest first.
    pub fn all(&self) -> io::Result<Vec<DrillRecord>> {
        read(&self.0)
    }

    /// Adds one.
    pub fn add(&self, record: &DrillRecord) -> io::Result<()> {
        add(&self.0, record)
    }

    /// Returns when the last one began that passed.
    pub fn last_passed(&self) -> io::Result<Option<Timestamp>> {
        Ok(self.all()?.iter().rev().find(|record| record.is_passed()).map(|record| record.began))
    }
}

/// The file of records.
#[derive(Debug, Clone)]
pub struct Runs(PathBuf);

impl Runs {
    /// The records in a folder.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// Reads them, the oldest first.
    pub fn all(&self) -> io::Result<Vec<RunRecord>> {
        read(&self.0)
    }

    /// Adds one.
    pub fn add(&self, record: &RunRecord) -> io::Result<()> {
        add(&self.0, record)
    }

    /// Returns when the last run began that copied everything.
    pub fn last_complete(&self) -> io::Result<Option<Timestamp>> {
        let all = self.all()?;
        Ok(all.iter().rev().find(|record| record.whole && record.is_clean()).map(|record| record.began))
    }

    /// Returns when the last run for everything began.
    pub fn last_whole(&self) -> io::Result<Option<Timestamp>> {
        Ok(self.all()?.iter().rev().find(|record| record.whole).map(|record| record.began))
    }
}

/// Reads the records of a file, the oldest first. What another version wrote is as good as nothing.
fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Adds a record to a file, which forgets the oldest.
fn add<T: Serialize + DeserializeOwned + Clone>(path: &Path, record: &T) -> io::Result<()> {
    let mut all = read(path)?;
    all.push(record.clone());
    let surplus = all.len().saturating_sub(KEPT);
    all.drain(..surplus);
    file::replace(path, &serde_json::to_vec(&all)?, 0o600)
}
