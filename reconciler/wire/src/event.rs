//! Events: what a pass tells while it goes on, to a terminal or over the control socket.

use berth_plan::{Action, Subject, subject};
use berth_schema::Origin;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::pass_record::PassRecord;
use crate::power::PowerRecord;

/// Something that a pass tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A pass has planned and goes to work.
    Planned {
        /// The revision that it works towards.
        revision: Origin,
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
        /// The object that it is about.
        #[serde(with = "subject::text")]
        subject: Subject,
        /// The change that is made.
        action: Action,
    },
    /// A change has ended.
    Ended(Outcome),
    /// Something was done to a server without a commit. It is part of no pass.
    Power(PowerRecord),
    /// The pass has ended.
    PassEnded(PassRecord),
    /// The answer to a request.
    Answer {
        /// The pass that was asked for; `None` when the daemon ended before it.
        record: Option<PassRecord>,
    },
}

/// Somebody who is told.
pub trait Listener: Send + Sync {
    /// Takes an event in.
    fn hear(&self, event: Event);
}

#[cfg(test)]
mod tests {
    use berth_schema::Revision;
    use jiff::Timestamp;

    use super::*;
    use crate::outcome::Ended;

    #[test]
    fn every_event_survives_the_socket() {
        let origin = Origin::from(Revision::from_bytes([7; 20]));
        let subject: Subject = "server a (id 1)".parse().unwrap();
        let outcome = Outcome {
            subject: subject.clone(),
            action: Action::Create,
            result: Ended::Failed { error: "no".to_owned(), retry: crate::Retry::SOON },
            millis: 1,
            steps_done: 0,
            steps: 5,
        };
        let record = PassRecord {
            at: Timestamp::UNIX_EPOCH,
            attempted: Some(origin),
            revision: None,
            reason: "timer".to_owned(),
            outcomes: vec![outcome.clone()],
            problems: vec!["p".to_owned()],
            retry_millis: Some(1000),
        };
        for event in [
            Event::Planned { revision: origin, changes: 1, text: "+ x".to_owned(), digest: "0".to_owned() },
            Event::Begun { subject: subject.clone(), action: Action::Start },
            Event::Ended(outcome),
            Event::PassEnded(record.clone()),
            Event::Power(PowerRecord {
                at: Timestamp::UNIX_EPOCH,
                subject,
                act: crate::web::Act::Restart,
                by: "ann".parse().unwrap(),
                result: Ended::Done,
                millis: 2,
            }),
            Event::Answer { record: Some(record) },
            Event::Answer { record: None },
        ] {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
        let begun = r#"{"event":"begun","subject":"network a","action":"create"}"#;
        let event: Event = serde_json::from_str(begun).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), begun, "the words are what they always were");
    }
}
