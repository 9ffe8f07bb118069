//! Silences that somebody asked for by a command: a file in the folder of alarms. Those of the state are the state's.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_host::FileLock;
use berth_schema::alarms::{AlarmKind, Silenced};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of the file.
const FILE: &str = "silences.json";
/// Name of the lock under which it is changed.
const LOCK: &str = "silences.lock";
/// Longest wait for the lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// The silences of a host.
#[derive(Debug, Clone)]
pub struct Silences(PathBuf);

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hushed {
    /// The alarms, as they were typed.
    pub of: String,
    /// End of it.
    pub until: Timestamp,
}

impl Hushed {
    /// Returns whether an alarm is silenced by it.
    pub fn has(&self, kind: AlarmKind, about: &str) -> bool {
        self.of.parse::<Silenced>().is_ok_and(|of| of.has(kind, about))
    }
}

impl Silences {
    /// The silences in a folder.
    pub fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Returns those that last at `now`.
    pub fn lasting(&self, now: Timestamp) -> io::Result<Vec<Hushed>> {
        let all: Vec<Hushed> = match fs::read(self.0.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
            Ok(text) => serde_json::from_slice(&text)?,
        };
        Ok(all.into_iter().filter(|hushed| hushed.until > now).collect())
    }

    /// Silences alarms. A silence of the same gets this end.
    pub fn begin(&self, of: &Silenced, until: Timestamp, now: Timestamp) -> io::Result<()> {
        let of = of.to_string();
        self.change(now, |all| {
            all.retain(|hushed| hushed.of != of);
            all.push(Hushed { of: of.clone(), until });
        })
    }

    /// Ends the silence of these alarms, and returns whether there was one.
    pub fn end(&self, of: &Silenced, now: Timestamp) -> io::Result<bool> {
        let of = of.to_string();
        let mut had = false;
        self.change(now, |all| {
            had = all.iter().any(|hushed| hushed.of == of);
            all.retain(|hushed| hushed.of != of);
        })?;
        Ok(had)
    }

    fn change(&self, now: Timestamp, change: impl FnOnce(&mut Vec<Hushed>)) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let _lock = FileLock::take(&self.0.join(LOCK), PATIENCE)?;
        let mut all = self.lasting(now)?;
        change(&mut all);
        let text = serde_json::to_vec(&all).map_err(io::Error::other)?;
        berth_host::file::replace(&self.0.join(FILE), &text, 0o600)
    }
}
