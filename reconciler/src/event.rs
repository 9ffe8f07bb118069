//! Events: what a pass tells while it goes on, to a terminal or over the control socket.

use serde::{Deserialize, Serialize};

use crate::journal::PassRecord;
use crate::outcome::Outcome;

/// Something that a pass tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A pass has planned and goes to work.
    Planned {
        /// The revision that it works towards.
        revision: String,
        /// Number of changes.
        changes: usize,
        /// The plan as people read it; empty when there is nothing to do.
        text: String,
    },
    /// A change begins.
    Begun {
        /// What it is about.
        subject: String,
        /// How it changes, in a word.
        action: String,
    },
    /// A change has ended.
    Ended(Outcome),
    /// The pass has ended.
    PassEnded(PassRecord),
    /// The answer to a request: its pass, or nothing when the daemon ended before it.
    Answer(Option<PassRecord>),
}

/// Who is told.
pub trait Listener: Send + Sync {
    /// Something happened.
    fn hear(&self, event: Event);
}
