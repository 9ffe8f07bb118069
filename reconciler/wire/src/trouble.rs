//! Troubles: what a process of Berth's tells of work that failed and that somebody has to look at, such as a backup. Each is a file of its own,
//! which lasts until the work succeeds. Whoever tells of alarms reads them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_schema::alarms::AlarmKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::told_file;

/// Folder of the files in Berth's own.
const FOLDER: &str = "troubles";
/// Ending of a file's name.
const ENDING: &str = ".json";
/// The most that are read.
const MOST: usize = 1000;

/// Work that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Kind of the work.
    pub kind: AlarmKind,
    /// The thing that it was about, such as `backup/server1`.
    pub about: String,
    /// The failure in a sentence.
    pub why: String,
    /// Moment from which on it failed.
    pub since: Timestamp,
}

/// The folder of troubles.
#[derive(Debug, Clone)]
pub struct Troubles(PathBuf);

impl Troubles {
    /// The folder in Berth's own.
    pub fn of(data: &Path) -> Self {
        Self(data.join(FOLDER))
    }

    /// Tells of a trouble. It takes the place of what was told of the same before, and keeps the moment from which that failed.
    pub fn tell(&self, trouble: &Trouble) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let path = self.path(trouble.kind, &trouble.about);
        let before: Option<Trouble> = told_file::read(&path);
        let since = before.map_or(trouble.since, |before| before.since.min(trouble.since));
        told_file::write(&path, &Trouble { since, ..trouble.clone() })
    }

    /// Tells that the work succeeded.
    pub fn is_over(&self, kind: AlarmKind, about: &str) -> io::Result<()> {
        match fs::remove_file(self.path(kind, about)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads what was told; what can't be read as a trouble is none.
    pub fn all(&self) -> io::Result<Vec<Trouble>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries.take(MOST) {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(ENDING) {
                all.extend(told_file::read::<Trouble>(&path));
            }
        }
        all.sort_by(|one, other| (one.kind, &one.about).cmp(&(other.kind, &other.about)));
        Ok(all)
    }

    fn path(&self, kind: AlarmKind, about: &str) -> PathBuf {
        // A name of a file, whatever the thing is called.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '+' };
        let about: String = about.chars().map(plain).take(200).collect();
        self.0.join(format!("{}+{about}{ENDING}", kind.word()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn a_trouble_lasts_from_its_first_failure_until_the_work_succeeds() {
        let home = tempfile::tempdir().unwrap();
        let troubles = Troubles::of(home.path());
        assert_eq!(troubles.all().unwrap(), []);
        let at = |second| Timestamp::from_second(second).unwrap();
        let failed = |why: &str, second| Trouble {
            kind: AlarmKind::Backup,
            about: "backup/../1".to_owned(),
            why: why.to_owned(),
            since: at(second),
        };
        troubles.tell(&failed("no room", 10)).unwrap();
        troubles.tell(&failed("no network", 20)).unwrap();
        assert_eq!(troubles.all().unwrap(), [Trouble { since: at(10), ..failed("no network", 20) }]);
        fs::write(home.path().join("troubles/other.json"), "no trouble").unwrap();
        assert_eq!(troubles.all().unwrap().len(), 1);
        troubles.is_over(AlarmKind::Backup, "backup/../1").unwrap();
        troubles.is_over(AlarmKind::Backup, "backup/../1").unwrap();
        assert_eq!(troubles.all().unwrap(), []);
    }
}
