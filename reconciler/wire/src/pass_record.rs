//! The record of one pass: what it found, what it did, and when it is tried again.

use berth_schema::Origin;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::told;

/// One pass, however it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassRecord {
    /// When it ended.
    pub at: Timestamp,
    /// The tip that it found; `None` where the state repo couldn't be read.
    #[serde(with = "told::attempted")]
    pub attempted: Option<Origin>,
    /// The revision whose state it worked towards: the tip, or the last good one when the tip is broken.
    pub revision: Option<Origin>,
    /// The reasons that it ran.
    pub reason: String,
    /// The outcome of each change.
    pub outcomes: Vec<Outcome>,
    /// Findings, or an error: why there was no pass, or none on the tip.
    pub problems: Vec<String>,
    /// Milliseconds until what failed is tried again; `None` when nothing waits for another try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_millis: Option<u64>,
}

impl PassRecord {
    /// Checks that the tip was good, and that everything it asks for is so.
    pub fn is_clean(&self) -> bool {
        self.revision.is_some() && self.problems.is_empty() && self.outcomes.iter().all(Outcome::is_done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_the_last_version_is_still_read() {
        let revision = "0123456789abcdef0123456789abcdef01234567";
        let text = format!(
            r#"{{"at":"1970-01-01T00:00:00Z","attempted":"{revision}","revision":"folder","reason":"timer",
            "outcomes":[{{"subject":"server shop (id 3)","action":"create","result":{{"ended":"done"}},
            "millis":2100,"steps_done":3,"steps":3}}],"problems":[]}}"#
        );
        let record: PassRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(record.attempted, Some(Origin::Revision(revision.parse().unwrap())));
        assert_eq!(record.revision, Some(Origin::Folder));
        let again = serde_json::to_value(&record).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(&text).unwrap());
        // A pass that couldn't read the state repo.
        let text = text.replace(revision, "").replace("\"folder\"", "null");
        let record: PassRecord = serde_json::from_str(&text).unwrap();
        assert_eq!((record.attempted, record.revision), (None, None));
        assert_eq!(serde_json::to_value(&record).unwrap()["attempted"], "");
    }
}
