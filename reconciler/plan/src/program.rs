//! Programs of Berth's own that run in its containers, and how each is replaced without the container.
//!
//! A program lies in a volume of its container, beside a mark that says which build was confirmed there. A supervisor in the
//! container starts it, and lets a new one take over from an old one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::Service;

/// Folder in which a container finds its programs. The templates know it.
pub const PROGRAMS: &str = "/usr/lib/berth/programs";

/// Number of the supervisor, which containers carry: those with another one are made anew, and what people have open in them
/// ends. `berth-supervise` says when to raise it.
pub const SUPERVISOR: u32 = 1;

/// A program of Berth's own that runs in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum Program {
    Gate,
    Router,
}

/// Programs of this host, which belong in the containers. Those that nobody looked for are left as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs(pub BTreeMap<Program, Found>);

/// Result of a look for a program on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// It is there.
    File {
        /// Its path.
        path: String,
        /// The BLAKE3 digest of its bytes.
        digest: String,
    },
    /// It can't be read.
    Missing {
        /// Reason, as a clause.
        why: String,
    },
}

impl Program {
    /// All programs.
    pub const ALL: [Self; 2] = [Self::Gate, Self::Router];

    /// The name of its file, on this host and in the volume.
    pub fn file(self) -> &'static str {
        match self {
            Self::Gate => "berth-gate",
            Self::Router => "berth-ssh-router",
        }
    }

    /// The name of its mark in the volume: a file that holds the digest of the build that was confirmed.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Gate => "berth-gate.confirmed",
            Self::Router => "berth-ssh-router.confirmed",
        }
    }

    /// The service in whose container it runs.
    pub fn service(self) -> Service {
        match self {
            Self::Gate => Service::Caddy,
            Self::Router => Service::Router,
        }
    }

    /// The program, as people know it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Router => "router",
        }
    }

    /// The things that go on while another build takes over, as people know them.
    pub(crate) fn goes_on(self) -> &'static str {
        match self {
            Self::Gate => "what visitors have open goes on",
            Self::Router => "sessions go on",
        }
    }
}

/// The volume in which a container finds its programs.
pub(crate) fn volume(container: &str) -> String {
    format!("{container}-programs")
}
