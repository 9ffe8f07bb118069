//! Facts: what the reconciler tells whoever judges whether something is wrong. Nothing is decided by them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::figures::OutOfMemory;
use crate::status::Status;

/// State of things, as far as the reconciler knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The last status; `None` while the first pass is still running.
    pub status: Option<Status>,
    /// Limits of the host, and how much of each is taken.
    pub limits: Vec<Amount>,
    /// File systems of the host that the platform writes to.
    pub file_systems: Vec<FileSystemUse>,
    /// Servers of which anything is known.
    pub servers: Vec<ServerFacts>,
    /// Certificates that visitors see, or that can't be had.
    pub certificates: Vec<CertificateFacts>,
}

/// A limit of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The thing that is limited.
    pub of: Limited,
    /// The amount that is taken.
    pub used: u64,
    /// The most that can be.
    pub most: u64,
}

/// A thing of which a host has only so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limited {
    /// Bytes of memory.
    Memory,
    /// Processes and threads.
    Processes,
    /// Open files.
    Files,
    /// Connections that the firewall keeps track of.
    Connections,
}

impl Limited {
    /// The words for it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "processes and threads",
            Self::Files => "open files",
            Self::Connections => "connections in the kernel's table",
        }
    }
}

impl Amount {
    /// Percentage that is taken; `None` where nothing is limited.
    pub fn percent(&self) -> Option<u64> {
        percent(self.used, self.most)
    }
}

/// A file system of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemUse {
    /// Its device.
    pub device: String,
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes in use.
    pub used: u64,
    /// Inodes in all; 0 where there is no fixed number.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

/// Part of a whole, in percent and rounded down; `None` where there is no whole.
pub fn percent(used: u64, most: u64) -> Option<u64> {
    let part = u128::from(used).saturating_mul(100).checked_div(u128::from(most))?;
    Some(u64::try_from(part).unwrap_or(u64::MAX))
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Its number.
    pub id: u32,
    /// Bytes of disk space that it takes, as they were measured last.
    pub disk: Option<u64>,
    /// Times that its memory was full.
    pub out_of_memory: Option<OutOfMemory>,
    /// Moments at which it ended although nobody had asked it to, the newest last.
    pub ended: Vec<Timestamp>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// Name that it is for.
    pub domain: String,
    /// Moment from which nobody accepts it any more; `None` where there is none.
    pub ends: Option<Timestamp>,
    /// Failure of the last try to get a newer one, in the CA's or the web server's words.
    pub failed: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_nothing_has_none() {
        assert_eq!(percent(899, 1000), Some(89));
        assert_eq!(percent(u64::MAX, u64::MAX), Some(100));
        assert_eq!(percent(1, 0), None);
    }
}
