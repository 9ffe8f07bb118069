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
        /// The plan's digest, which whoever pushed has seen before (`berth_plan::show::digest`).
        #[serde(default)]
        digest: String,
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
    Answer {
        /// What the pass came to.
        record: Option<PassRecord>,
    },
}

/// Who is told.
pub trait Listener: Send + Sync {
    /// Something happened.
    fn hear(&self, event: Event);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::outcome::Ended;

    #[test]
    fn every_event_survives_the_socket() {
        let outcome = Outcome {
            subject: "server a (id 1)".to_owned(),
            action: "create".to_owned(),
            result: Ended::Failed { error: "no".to_owned(), passing: true },
            millis: 1,
            steps_done: 0,
            steps: 5,
        };
        let record = PassRecord {
            at: Timestamp::UNIX_EPOCH,
            attempted: "a".to_owned(),
            revision: None,
            reason: "timer".to_owned(),
            outcomes: vec![outcome.clone()],
            problems: vec!["p".to_owned()],
            retry_millis: Some(1000),
        };
        for event in [
            Event::Planned {
                revision: "a".to_owned(),
                changes: 1,
                text: "+ x".to_owned(),
                digest: "0".to_owned(),
            },
            Event::Begun { subject: "x".to_owned(), action: "start".to_owned() },
            Event::Ended(outcome),
            Event::PassEnded(record.clone()),
            Event::Answer { record: Some(record) },
            Event::Answer { record: None },
        ] {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }
}
