//! Notes: how each revision ended, kept in the state repo itself as a git note (`git log --notes=berth`).
//!
//! A note is TOML, one line a change: people read it below the commit, programs parse it. It tells of a revision, not of a
//! pass: a later pass of the same revision adds what it did, and takes the place of what had failed. A pass that did
//! nothing and found nothing new writes nothing.

use std::fmt::Write as _;

use berth_plan::{Action, Subject, subject};
use berth_schema::text::safe_line;
use berth_wire::{Ended, Outcome, PassRecord};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Changes that a note tells of; those that failed come first where there are more.
const CHANGES: usize = 200;
/// Problems that a note tells of.
const PROBLEMS: usize = 50;
/// Characters of an error or a problem.
const WORDS: usize = 500;

/// The end of a revision, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The end, in a word.
    pub result: Fate,
    /// When a pass last changed something in here.
    pub at: Timestamp,
    /// Changes that were made for it, the newest last.
    #[serde(default)]
    pub changes: Vec<Entry>,
    /// Obstacles, or mistakes of the revision.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Changes that were done and aren't told of here, since there were so many.
    #[serde(default)]
    pub left_out: usize,
}

/// The end of a revision, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Everything that it asks for is so.
    Applied,
    /// A change failed.
    Failed,
    /// The process was asked to end in the middle.
    Interrupted,
    /// Something is in the way of a change.
    HeldBack,
    /// It has mistakes; the last good revision holds.
    Refused,
}

/// The end of one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The object that it was about.
    #[serde(with = "subject::text")]
    pub object: Subject,
    /// The change that was to be made.
    pub action: Action,
    /// The end that it came to.
    pub result: Word,
    /// Seconds that it took.
    pub seconds: f64,
    /// Reason that it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The end of a change, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Every step succeeded.
    Done,
    /// A step failed.
    Failed,
    /// The process was asked to end between two steps.
    Interrupted,
}

/// Findings of a pass that belong into a note besides its outcomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Mistakes of the tip.
    pub mistakes: Vec<String>,
    /// Obstacles to changes.
    pub held_back: Vec<String>,
}

impl Fate {
    /// Returns the word that is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::HeldBack => "held-back",
            Self::Refused => "refused",
        }
    }
}

impl Word {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Note {
    /// Reads a note; `None` when somebody else wrote it, or another version.
    pub fn parse(text: &str) -> Option<Self> {
        toml::from_str(text).ok()
    }

    /// The note of a revision with mistakes.
    pub fn refused(before: Option<&Self>, mistakes: &[String], at: Timestamp) -> Option<Self> {
        let problems = shortened(mistakes);
        let told = before.is_some_and(|note| note.result == Fate::Refused && note.problems == problems);
        (!told).then_some(Self { result: Fate::Refused, at, changes: Vec::new(), problems, left_out: 0 })
    }

    /// The note of a revision after a pass for it; `None` when the one before says it already.
    pub fn after(before: Option<&Self>, record: &PassRecord, held_back: &[String]) -> Option<Self> {
        let problems = shortened(held_back);
        let mut note = match before {
            Some(before) => before.clone(),
            None if record.outcomes.is_empty() && problems.is_empty() => return None,
            None => Self {
                result: Fate::Applied,
                at: record.at,
                changes: Vec::new(),
                problems: Vec::new(),
                left_out: 0,
            },
        };
        note.problems = problems;
        for outcome in &record.outcomes {
            note.add(outcome);
        }
        if record.is_clean() {
            // Whoever mended it by hand has made it true.
            note.changes.retain(|entry| entry.result == Word::Done);
        }
        let has = |word| note.changes.iter().any(|entry| entry.result == word);
        note.result = match () {
            () if has(Word::Failed) => Fate::Failed,
            () if has(Word::Interrupted) => Fate::Interrupted,
            () if !note.problems.is_empty() => Fate::HeldBack,
            // A change that failed and waits for its next attempt is none of this pass's outcomes.
            () if !record.is_clean() => note.result,
            () => Fate::Applied,
        };
        note.bound();
        if before == Some(&note) {
            return None;
        }
        note.at = record.at;
        Some(note)
    }

    fn add(&mut self, outcome: &Outcome) {
        let (result, error) = match &outcome.result {
            Ended::Done => (Word::Done, None),
            Ended::Interrupted => (Word::Interrupted, None),
            Ended::Failed { error, .. } => (Word::Failed, Some(safe_line(error, WORDS))),
        };
        let is_same = |entry: &Entry| entry.object == outcome.subject && entry.action == outcome.action;
        // A repair that is done again and again is told of once.
        if self.changes.iter().any(|entry| is_same(entry) && entry.result == result && entry.error == error) {
            return;
        }
        self.changes.retain(|entry| {
            !is_same(entry) && (entry.object != outcome.subject || entry.result == Word::Done)
        });
        self.changes.push(Entry {
            object: outcome.subject.clone(),
            action: outcome.action,
            result,
            // A tenth of a second says enough.
            seconds: (outcome.millis as f64 / 100.0).round() / 10.0,
            error,
        });
    }

    fn bound(&mut self) {
        if self.changes.len() > CHANGES {
            self.changes.sort_by_key(|entry| entry.result == Word::Done);
            self.left_out += self.changes.len() - CHANGES;
            self.changes.truncate(CHANGES);
        }
    }

    /// The note as text, which [`Note::parse`] reads.
    pub fn text(&self) -> String {
        let mut text = format!("result = \"{}\"\nat = \"{}\"\n", self.result.word(), self.at);
        if !self.changes.is_empty() {
            text.push_str("changes = [\n");
            for entry in &self.changes {
                let (object, action) = (quoted(&entry.object.to_string()), quoted(entry.action.word()));
                let (result, seconds) = (entry.result.word(), entry.seconds);
                let _ = write!(
                    text,
                    "  {{ object = {object}, action = {action}, result = \"{result}\", seconds = {seconds:.1}"
                );
                if let Some(error) = &entry.error {
                    let _ = write!(text, ", error = {}", quoted(error));
                }
                text.push_str(" },\n");
            }
            text.push_str("]\n");
        }
        if !self.problems.is_empty() {
            text.push_str("problems = [\n");
            for problem in &self.problems {
                let _ = writeln!(text, "  {},", quoted(problem));
            }
            text.push_str("]\n");
        }
        if self.left_out > 0 {
            let _ = writeln!(text, "left_out = {}", self.left_out);
        }
        text
    }
}

fn shortened(texts: &[String]) -> Vec<String> {
    texts.iter().take(PROBLEMS).map(|text| safe_line(text, WORDS)).collect()
}

fn quoted(text: &str) -> String {
    toml::Value::from(safe_line(text, WORDS)).to_string()
}

#[cfg(test)]
mod tests {
    use berth_schema::testing::{harm, hostile_text};
    use berth_schema::{Origin, Revision};
    use proptest::prelude::*;

    use super::*;

    fn outcome(subject: &str, action: Action, error: Option<&str>) -> Outcome {
        let result = match error {
            None => Ended::Done,
            Some(error) => Ended::Failed { error: error.to_owned(), retry: berth_wire::Retry::SOON },
        };
        Outcome { subject: subject.parse().unwrap(), action, result, millis: 1234, steps_done: 1, steps: 1 }
    }

    fn record(outcomes: Vec<Outcome>, problems: &[&str]) -> PassRecord {
        let tip = Origin::from(Revision::from_bytes([10; 20]));
        PassRecord {
            at: Timestamp::UNIX_EPOCH,
            attempted: Some(tip),
            revision: Some(tip),
            reason: "timer".to_owned(),
            outcomes,
            problems: problems.iter().map(|text| (*text).to_owned()).collect(),
            retry_millis: None,
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let hostile = "no \"space\" left\n'''\u{1b}[31m = [ # {";
        let pass = record(
            vec![
                outcome("server a (id 1)", Action::Create, Some(hostile)),
                outcome("network x", Action::Create, None),
            ],
            &[],
        );
        let note = Note::after(None, &pass, &["server b: its name is taken. Remove it".to_owned()]).unwrap();
        assert_eq!(note.result, Fate::Failed);
        let text = note.text();
        assert_eq!(text.lines().count(), 9, "{text}");
        assert!(
            text.contains(
                "{ object = \"network x\", action = \"create\", result = \"done\", seconds = 1.2 },\n"
            ),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_eq!(Note::parse(&text).unwrap(), note);
        assert_eq!(Note::parse("hello"), None);
    }

    #[test]
    fn a_note_of_the_last_version_is_still_read() {
        let text = "result = \"failed\"\nat = \"1970-01-01T00:00:00Z\"\nchanges = [\n  { object = \"server shop (id 3)\", \
                    action = \"create\", result = \"failed\", seconds = 2.1, error = \"no image\" },\n]\n";
        let note = Note::parse(text).unwrap();
        assert_eq!(note.changes[0].object.to_string(), "server shop (id 3)");
        assert_eq!((note.changes[0].action, note.text().as_str()), (Action::Create, text));
    }

    #[test]
    fn nothing_to_do_is_nothing_to_note() {
        assert_eq!(Note::after(None, &record(Vec::new(), &[]), &[]), None);
        let done =
            Note::after(None, &record(vec![outcome("server a (id 1)", Action::Create, None)], &[]), &[])
                .unwrap();
        assert_eq!(Note::after(Some(&done), &record(Vec::new(), &[]), &[]), None);
        // The same repair once more.
        assert_eq!(
            Note::after(
                Some(&done),
                &record(vec![outcome("server a (id 1)", Action::Create, None)], &[]),
                &[]
            ),
            None
        );
    }

    #[test]
    fn a_later_pass_takes_the_place_of_what_failed() {
        let failed = record(vec![outcome("server a (id 1)", Action::Create, Some("no image"))], &[]);
        let note = Note::after(None, &failed, &[]).unwrap();
        // It waits for its next attempt: nothing new.
        assert_eq!(
            Note::after(Some(&note), &record(Vec::new(), &["server a (id 1) is tried again in 8 s"]), &[]),
            None
        );
        let mended = record(vec![outcome("server a (id 1)", Action::Start, None)], &[]);
        let after = Note::after(Some(&note), &mended, &[]).unwrap();
        assert_eq!((after.result, after.changes.len()), (Fate::Applied, 1));
        // Or somebody did it by hand.
        let by_hand = Note::after(Some(&note), &record(Vec::new(), &[]), &[]).unwrap();
        assert_eq!((by_hand.result, by_hand.changes.len()), (Fate::Applied, 0));
    }

    #[test]
    fn a_note_stays_small() {
        let mut outcomes: Vec<Outcome> =
            (1..=1000).map(|id| outcome(&format!("server s{id} (id {id})"), Action::Create, None)).collect();
        outcomes.push(outcome("server last (id 9999)", Action::Create, Some(&"x".repeat(10_000))));
        let note = Note::after(None, &record(outcomes, &[]), &[]).unwrap();
        assert_eq!((note.changes.len(), note.left_out), (CHANGES, 801));
        assert_eq!(note.changes[0].object.to_string(), "server last (id 9999)");
        assert!(note.text().len() < 64 << 10);
    }

    #[test]
    fn mistakes_are_noted_once() {
        let mistakes = ["users/a.toml:1:1: broken".to_owned()];
        let note = Note::refused(None, &mistakes, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(Note::parse(&note.text()).unwrap(), note);
        assert_eq!(Note::refused(Some(&note), &mistakes, Timestamp::now()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Checks that `git log --notes` shows lines of a note as the note has them, and that it is read all the same.
        #[test]
        fn no_note_harms_its_reader(typed in hostile_text()) {
            let note = |typed: &str| {
                let failed = outcome(&format!("network x{typed}x"), Action::Create, Some(typed));
                Note::after(None, &record(vec![failed], &[]), &[typed.to_owned()]).unwrap().text()
            };
            let refused = |typed: &str| Note::refused(None, &[typed.to_owned()], Timestamp::UNIX_EPOCH).unwrap().text();
            for (text, usual) in [(note(&typed), note("")), (refused(&typed), refused(""))] {
                prop_assert_eq!(harm(&text), None, "{}", text);
                prop_assert_eq!(text.lines().count(), usual.lines().count(), "{}", text);
                prop_assert!(Note::parse(&text).is_some(), "{text}");
            }
        }
    }
}
