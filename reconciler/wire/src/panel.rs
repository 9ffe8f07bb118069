//! The panel's share of what the reconciler tells: everything but what could hold a password's hash.
//!
//! The panel has no hash of a password and no file of the state. One configuration holds such hashes, that of the SSH router,
//! and whatever program refuses a configuration may repeat a line of it.

use berth_plan::Subject;

use crate::event::Event;
use crate::outcome::{Ended, Outcome};
use crate::pass_record::PassRecord;
use crate::status::Status;

/// Words in place of an error that may hold such a line.
const UNTOLD: &str = "the configuration is not in force; `berth status` on the host says why";

/// Returns what the panel hears of an event.
pub fn event(event: Event) -> Event {
    match event {
        Event::Ended(told) => Event::Ended(outcome(told)),
        Event::PassEnded(told) => Event::PassEnded(record(told)),
        Event::Answer { record: told } => Event::Answer { record: told.map(record) },
        Event::Planned { .. } | Event::Begun { .. } | Event::Power(_) => event,
    }
}

/// Returns what the panel sees of a status.
pub fn status(status: Status) -> Status {
    Status { last_pass: status.last_pass.map(record), ..status }
}

fn record(record: PassRecord) -> PassRecord {
    PassRecord { outcomes: record.outcomes.into_iter().map(outcome).collect(), ..record }
}

fn outcome(outcome: Outcome) -> Outcome {
    let is_secret = matches!(outcome.subject, Subject::Configuration(kind) if kind.is_secret());
    match outcome.result {
        Ended::Failed { retry, .. } if is_secret => {
            Outcome { result: Ended::Failed { error: UNTOLD.to_owned(), retry }, ..outcome }
        }
        _ => outcome,
    }
}

#[cfg(test)]
mod tests {
    use berth_plan::Action;
    use berth_plan::render::Kind;
    use jiff::Timestamp;

    use super::*;
    use crate::Retry;

    #[test]
    fn no_error_tells_of_a_hash() {
        let failed = |kind| Outcome {
            subject: Subject::Configuration(kind),
            action: Action::Update,
            result: Ended::Failed { error: "line 3: $2b$12$abc".to_owned(), retry: Retry::OnChange },
            millis: 1,
            steps_done: 0,
            steps: 1,
        };
        let told = PassRecord {
            at: Timestamp::UNIX_EPOCH,
            attempted: None,
            revision: None,
            reason: String::new(),
            outcomes: Kind::ALL.map(failed).to_vec(),
            problems: Vec::new(),
            retry_millis: Some(7),
        };
        for heard in [
            event(Event::PassEnded(told.clone())),
            event(Event::Answer { record: Some(told) }),
            event(Event::Ended(failed(Kind::Routes))),
        ] {
            let text = serde_json::to_string(&heard).unwrap();
            let secret = text.split("configuration routes").nth(1).unwrap();
            assert!(secret.contains(UNTOLD), "{text}");
            assert!(!secret.split("subject").next().unwrap().contains("$2b$"), "{text}");
        }
        // Any other's cause is what somebody has to read.
        assert_eq!(event(Event::Ended(failed(Kind::Caddy))), Event::Ended(failed(Kind::Caddy)));
    }
}
