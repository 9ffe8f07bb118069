//! The journal: what this host tried last and how it ended. Rebuildable: what we own is read from labels, what should exist
//! from git, so deleting the folder loses that and nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_fault::{Fault, Kind};
use berth_schema::Origin;
use berth_wire::{PassRecord, PowerRecord};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

const LAST_PASS: &[u8] = b"last-pass";
const LAST_APPLIED: &[u8] = b"last-applied";
const POWER: &[u8] = b"power";

/// A failure to keep the journal.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum JournalError {
    /// The folder can't be used.
    #[error("cannot prepare the journal's folder {path}")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the journal {path} is in use by another berth process")]
    InUse { path: PathBuf },
    /// The store can't be opened.
    #[error("cannot open the journal {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: sled::Error,
    },
    /// A read or a write failed.
    #[error("cannot {act} the journal")]
    Access {
        act: &'static str,
        #[source]
        source: sled::Error,
    },
}

impl Fault for JournalError {
    fn kind(&self) -> Kind {
        match self {
            Self::InUse { .. } => Kind::User,
            Self::Prepare { .. } | Self::Open { .. } | Self::Access { .. } => Kind::Configuration,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => {
                Some("a reconciler is running: `berth status` talks to it, `berth down` stops it")
            }
            Self::Prepare { .. } => Some("is --data (BERTH_DATA) a folder that you may write to?"),
            Self::Open { .. } | Self::Access { .. } => None,
        }
    }
}

/// The journal of one platform on one host.
#[derive(Debug, Clone)]
pub struct Journal {
    facts: sled::Tree,
    db: sled::Db,
}

impl Journal {
    /// Opens the journal in `folder`, or begins one. A journal that can't be read is moved aside, not repaired.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let prepare = |source| JournalError::Prepare { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(prepare)?;
        remove_snapshots(folder).map_err(prepare)?;
        match Self::open_store(folder) {
            Err(JournalError::Open { source: sled::Error::Corruption { .. }, .. }) => {
                let aside = folder.with_extension(format!("broken-{}", Timestamp::now().as_second()));
                tracing::warn!(moved_to = %aside.display(), "the journal can't be read; a new one is begun");
                fs::rename(folder, aside).map_err(prepare)?;
                Self::open_store(folder)
            }
            other => other,
        }
    }

    fn open_store(folder: &Path) -> Result<Self, JournalError> {
        // sled's own default cache is a gibibyte; the journal is a few kilobytes.
        let db =
            sled::Config::new().path(folder).cache_capacity(1 << 20).open().map_err(
                |source| match &source {
                    sled::Error::Io(error) if error.to_string().contains("lock") => {
                        JournalError::InUse { path: folder.to_owned() }
                    }
                    _ => JournalError::Open { path: folder.to_owned(), source },
                },
            )?;
        let opened = db.open_tree("facts");
        let facts = opened.map_err(|source| JournalError::Open { path: folder.to_owned(), source })?;
        Ok(Self { facts, db })
    }

    /// The last pass, whatever came of it.
    pub fn last_pass(&self) -> Result<Option<PassRecord>, JournalError> {
        self.read(LAST_PASS)
    }

    /// The last revision of which every change succeeded.
    pub fn last_applied(&self) -> Result<Option<Origin>, JournalError> {
        self.read(LAST_APPLIED)
    }

    /// Writes down a pass; `applied` says that every change of its revision succeeded.
    pub fn record(&self, pass: &PassRecord, applied: bool) -> Result<(), JournalError> {
        let bytes = encode(pass);
        self.write(LAST_PASS, &bytes)?;
        if let (true, Some(revision)) = (applied, &pass.revision) {
            self.write(LAST_APPLIED, &encode(revision))?;
        }
        self.db.flush().map_err(|source| JournalError::Access { act: "flush", source })?;
        Ok(())
    }

    /// The last orders to servers that were carried out, the oldest first.
    pub fn power(&self) -> Result<Vec<PowerRecord>, JournalError> {
        Ok(self.read(POWER)?.unwrap_or_default())
    }

    /// Writes down the last orders to servers.
    pub fn record_power(&self, records: &[PowerRecord]) -> Result<(), JournalError> {
        self.write(POWER, &encode(&records))?;
        self.db.flush().map_err(|source| JournalError::Access { act: "flush", source })?;
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, JournalError> {
        let found = self.facts.get(key).map_err(|source| JournalError::Access { act: "read", source })?;
        // An entry of another version of Berth is as good as none.
        Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn write(&self, key: &[u8], bytes: &[u8]) -> Result<(), JournalError> {
        // A no-op pass every minute must not grow the log: equal bytes aren't written.
        let failed = |source| JournalError::Access { act: "write to", source };
        if self.facts.get(key).map_err(failed)?.as_deref() != Some(bytes) {
            self.facts.insert(key, bytes).map_err(failed)?;
        }
        Ok(())
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    // Our own plain structs always encode; an empty entry would read back as none.
    serde_json::to_vec(value).unwrap_or_default()
}

/// sled 0.34 takes a half-written `snap.*.generating` for a snapshot and then refuses to open. The log alone rebuilds
/// everything, so snapshots are removed before every open.
fn remove_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use berth_schema::Revision;

    use super::*;

    fn tip() -> Origin {
        Revision::from_bytes([0xaa; 20]).into()
    }

    fn pass(reason: &str) -> PassRecord {
        PassRecord {
            at: Timestamp::UNIX_EPOCH,
            attempted: Some(tip()),
            revision: Some(tip()),
            reason: reason.to_owned(),
            outcomes: Vec::new(),
            problems: vec!["users/a.toml:1:1: broken".to_owned()],
            retry_millis: None,
        }
    }

    /// Opens the journal again. The store's own thread lets go of the folder a moment after the last journal is dropped.
    fn again(path: &Path) -> Journal {
        loop {
            match Journal::open(path) {
                Err(JournalError::InUse { .. }) => std::thread::yield_now(),
                opened => return opened.unwrap(),
            }
        }
    }

    #[test]
    fn what_was_recorded_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        journal.record(&pass("timer"), true).unwrap();
        drop(journal);
        let journal = again(&path);
        assert_eq!(journal.last_pass().unwrap().unwrap().reason, "timer");
        assert_eq!(journal.last_applied().unwrap(), Some(tip()));
    }

    #[test]
    fn a_failed_pass_does_not_move_the_last_applied_revision() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal")).unwrap();
        journal.record(&pass("timer"), false).unwrap();
        assert_eq!(journal.last_applied().unwrap(), None);
    }

    #[test]
    fn a_half_written_snapshot_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap().record(&pass("timer"), true).unwrap();
        fs::write(path.join("snap.0000000000000001.generating"), b"").unwrap();
        assert!(again(&path).last_pass().unwrap().is_some());
    }

    #[test]
    fn a_second_process_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let _held = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
    }
}
