//! Records of runs, in one file: what was copied, and what failed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_host::file;
use berth_schema::name::ServerId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Runs that are remembered.
const KEPT: usize = 60;
/// Folder of the records, the lock and restic's cache, in the data folder.
pub const FOLDER: &str = "backup";
/// Name of the file.
const FILE: &str = "runs.json";

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

/// The file of records.
#[derive(Debug, Clone)]
pub struct Runs(PathBuf);

impl Runs {
    /// The records in a folder.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// Reads them, the oldest first. What another version wrote is as good as nothing.
    pub fn all(&self) -> io::Result<Vec<RunRecord>> {
        match fs::read(&self.0) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Adds one.
    pub fn add(&self, record: &RunRecord) -> io::Result<()> {
        let mut all = self.all()?;
        all.push(record.clone());
        let surplus = all.len().saturating_sub(KEPT);
        all.drain(..surplus);
        file::replace(&self.0, &serde_json::to_vec(&all)?, 0o600)
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
