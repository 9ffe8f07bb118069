//! The question for what happened: the door's audit log and the commits, as one line of time.

use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommitLine, Needs, Page, Scope, questions};

questions! {
    Audit, "/audit", Admin => Page<AuditRow>, needs Needs::Scope(Scope::Admin);
}

/// Asks for what happened, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audit {
    /// Only what this person did, or what was done to them; `None` for all.
    pub of: Option<UserName>,
    /// Page, from 1.
    pub page: u32,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Person who did it; `None` where nobody knows, and for whoever has the host.
    pub who: Option<String>,
    /// Address that they did it from.
    pub from: Option<String>,
    /// The event.
    pub event: Event,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// An act that the door wrote down.
    Act {
        /// The act in a word, as the log has it: `sign-in`.
        act: String,
        /// Thing or person that it was done to; empty for the person themselves.
        of: String,
    },
    /// A commit.
    Commit(Box<CommitLine>),
}
