//! Mails, as told by the process that sends them.

use std::io;
use std::path::{Path, PathBuf};

use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::told_file;

/// Name of the standing's file.
const FILE: &str = "standing.json";

/// Mails, as the process that sends them tells of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailStanding {
    /// The server, with its port.
    pub server: String,
    /// Number of letters that wait.
    pub waiting: usize,
    /// Time of the last mail that the server took.
    pub sent: Option<Timestamp>,
    /// The last failure, if nothing was sent after it.
    pub failed: Option<MailFailure>,
    /// Letters that were given up lately, the newest last.
    pub lost: Vec<LostMail>,
    /// Paths of files in the spool that can't be read as letters and were put aside, ten at most.
    pub unreadable: Vec<PathBuf>,
}

/// A failure to send anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailFailure {
    /// Reason.
    pub why: String,
    /// Time of it.
    pub at: Timestamp,
    /// Time of the next try.
    pub again: Timestamp,
}

/// A letter that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostMail {
    /// Person it was for; `None` for an address that alarms go to.
    pub user: Option<UserName>,
    /// Their address, most of it hidden.
    pub to: String,
    /// Reason.
    pub why: String,
    /// Time of it.
    pub at: Timestamp,
}

impl MailStanding {
    /// Path of the file in the folder of `berth mail`.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Reads what was told; `None` where nothing was.
    pub fn read(folder: &Path) -> Option<Self> {
        told_file::read(&Self::path(folder))
    }

    /// Tells it.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        told_file::write(&Self::path(folder), self)
    }
}
