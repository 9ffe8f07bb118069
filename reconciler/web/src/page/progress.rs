//! Progress of a change: what the reconciler has done of it, object by object, as far as somebody may see.

use std::collections::BTreeSet;

use berth_plan::render::Kind;
use berth_plan::{Action, Subject};
use berth_schema::Origin;
use berth_schema::name::ServerId;
use berth_wire::web::CommitSheet;
use berth_wire::{Ended, Outcome, PassRecord};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::state::{Look, State, under_way};
use crate::live::{Work, World};

/// Time after which nobody is kept waiting.
const LONG: SignedDuration = SignedDuration::from_secs(60);

/// Objects that somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sees {
    /// Every one, and every error.
    All,
    /// These servers, and what serves everybody, without its errors.
    Servers(BTreeSet<ServerId>),
}

/// Progress of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    pub(crate) title: &'static str,
    pub(crate) state: State,
    pub(crate) sentence: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) problems: Vec<String>,
    /// Set while something is still to come.
    pub(crate) waits: bool,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    look: Look,
    glyph: &'static str,
    what: String,
    word: &'static str,
    error: Option<String>,
}

impl Progress {
    /// Progress of the change that a commit made.
    pub(crate) fn of(world: &World, sheet: &CommitSheet, sees: &Sees, now: Timestamp) -> Self {
        let line = &sheet.line;
        let ours = Origin::Revision(line.revision);
        let record = world.pass_of(line.revision);
        // Once it is applied, passes of the same revision look after other things.
        let is_news = |work: &&Work| record.is_none_or(|record| work.changes > 0 && !record.is_clean());
        if let Some(work) = world.work.as_ref().filter(|work| work.revision == ours).filter(is_news) {
            return Self::going_on(work, sees);
        }
        if let Some(record) = record {
            return Self::ended(record, sees);
        }
        if let Some(outcome) = &line.outcome {
            let state = State::new(Look::Plain, "○", "over", "");
            return Self::over(
                "What came of it",
                state,
                super::words::sentence(minijinja::Value::from(outcome.as_str())),
            );
        }
        if sheet.is_overtaken {
            let state = State::new(Look::Plain, "○", "over", "");
            return Self::over(
                "Applied with a later change",
                state,
                "The reconciler went straight on to a later change, which holds this one.",
            );
        }
        let late = now.duration_since(line.at) > LONG;
        let sentence = match (world.answers, late) {
            (false, _) => {
                "It is committed. The reconciler doesn’t answer; it applies the change once it does."
            }
            (true, false) => "It is committed. The reconciler has it next.",
            (true, true) => {
                "It is committed, and takes longer than a minute. You needn’t wait: it goes on without you."
            }
        };
        let state = State::new(Look::Busy, "◌", "waits", "");
        Self { waits: true, ..Self::over("Not applied yet", state, sentence) }
    }

    fn over(title: &'static str, state: State, sentence: impl Into<String>) -> Self {
        Self {
            title,
            state,
            sentence: sentence.into(),
            steps: Vec::new(),
            problems: Vec::new(),
            waits: false,
        }
    }

    fn going_on(work: &Work, sees: &Sees) -> Self {
        let mut steps: Vec<Step> = work.ended.iter().filter_map(|outcome| ended(outcome, sees)).collect();
        for (subject, action) in &work.begun {
            if let Some(what) = seen(subject, sees) {
                let word = match subject {
                    Subject::Server { .. } => under_way(*action).0,
                    _ => "being changed",
                };
                steps.push(Step { look: Look::Busy, glyph: "◐", what, word, error: None });
            }
        }
        let sentence = match (work.ended.len(), work.changes) {
            (_, 0) => "Berth looks at everything once more.".to_owned(),
            (done, all) => format!("{done} of {all} done."),
        };
        let state = State::new(Look::Busy, "◐", "under way", "");
        Self { steps, waits: true, ..Self::over("Being applied", state, sentence) }
    }

    fn ended(record: &PassRecord, sees: &Sees) -> Self {
        let steps: Vec<Step> = record.outcomes.iter().filter_map(|outcome| ended(outcome, sees)).collect();
        let problems = if *sees == Sees::All { record.problems.clone() } else { Vec::new() };
        let retried = record.retry_millis.is_some();
        let is_clean = record.problems.is_empty() && record.outcomes.iter().all(Outcome::is_done);
        // A pass is about everything: a member's change isn't to blame for another's server.
        let concerns = *sees == Sees::All || steps.iter().any(|step| step.look != Look::Good);
        let (title, state, sentence) = if record.attempted != record.revision {
            let state = State::new(Look::Bad, "✕", "not applied", "");
            (
                "Not applied",
                state,
                "The state has mistakes, so everything stays as it was. An admin sees what is wrong.",
            )
        } else if is_clean {
            let state = State::new(Look::Good, "●", "done", "");
            (
                "Applied",
                state,
                if steps.is_empty() { "Everything is as it is written." } else { "All of it is done." },
            )
        } else if !concerns {
            let state = State::new(Look::Good, "●", "done", "");
            (
                "Applied",
                state,
                "Nothing of yours waits. Something else on the platform does; admins see what.",
            )
        } else if retried {
            let state = State::new(Look::Warn, "◐", "tried again", "");
            ("Applied in part", state, "Not all of it could be done yet; the rest is tried again by itself.")
        } else {
            let state = State::new(Look::Bad, "✕", "failed", "");
            (
                "Applied in part",
                state,
                "Not all of it could be done. What is written stays written; an admin sees the reason.",
            )
        };
        Self {
            steps,
            problems,
            waits: !is_clean && concerns && retried,
            ..Self::over(title, state, sentence)
        }
    }
}

/// An ended change as somebody may see it.
fn ended(outcome: &Outcome, sees: &Sees) -> Option<Step> {
    let what = seen(&outcome.subject, sees)?;
    Some(match &outcome.result {
        Ended::Done => Step { look: Look::Good, glyph: "●", what, word: done(outcome.action), error: None },
        Ended::Interrupted => Step { look: Look::Warn, glyph: "◌", what, word: "waits", error: None },
        Ended::Failed { error, .. } => {
            // The error of what serves everybody may hold others' names.
            let may_read = *sees == Sees::All || matches!(outcome.subject, Subject::Server { .. });
            let error = if may_read { error.clone() } else { "An admin sees why.".to_owned() };
            Step { look: Look::Bad, glyph: "✕", what, word: "failed", error: Some(error) }
        }
    })
}

/// Name of an object for somebody; `None` if they may not know of it.
fn seen(subject: &Subject, sees: &Sees) -> Option<String> {
    let is_mine = |id: &ServerId| match sees {
        Sees::All => true,
        Sees::Servers(mine) => mine.contains(id),
    };
    match (subject, sees) {
        (Subject::Server { id, name }, _) => is_mine(id).then(|| format!("Server {name}")),
        (Subject::Configuration(kind), _) => Some(configuration(*kind).to_owned()),
        (subject, Sees::All) => Some(capital(&subject.to_string())),
        (_, Sees::Servers(_)) => None,
    }
}

/// A text that begins with a capital.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), chars.as_str()))
}

fn configuration(kind: Kind) -> &'static str {
    match kind {
        Kind::Firewall => "The firewall’s rules",
        Kind::Dns => "The servers’ name service",
        Kind::Cache => "The image cache",
        Kind::Caddy => "The web server",
        Kind::Host => "The host’s rules",
        Kind::Routes => "Who may log in where",
        Kind::Sites => "The table of domains",
    }
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "made",
        Action::Update => "changed",
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Recreate => "made anew",
        Action::Entomb => "stopped; its data is kept",
        Action::Resurrect => "back, with its data",
        Action::Purge => "erased",
        Action::Remove => "removed",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_schema::Revision;
    use berth_wire::Retry;
    use berth_wire::web::CommitLine;

    use super::*;

    fn ours() -> Revision {
        Revision::from_bytes([7; 20])
    }

    /// A commit of the epoch.
    fn sheet() -> CommitSheet {
        let line = CommitLine {
            revision: ours(),
            author: "ann".to_owned(),
            at: NOW,
            summary: "server shop".to_owned(),
            door: None,
            paths: Vec::new(),
            outcome: None,
        };
        CommitSheet { line, diffs: Vec::new(), may_revert: false, is_overtaken: false }
    }

    fn outcome(subject: Subject, result: Ended) -> Outcome {
        Outcome { subject, action: Action::Create, result, millis: 1, steps_done: 1, steps: 1 }
    }

    fn server(id: u32) -> Subject {
        Subject::Server { id: serde_json::from_value(id.into()).unwrap(), name: format!("s{id}") }
    }

    fn failed() -> Ended {
        Ended::Failed { error: "no space for others.example.org".to_owned(), retry: Retry::SOON }
    }

    fn record(outcomes: Vec<Outcome>, retry_millis: Option<u64>) -> PassRecord {
        let ours = Some(Origin::Revision(ours()));
        let at = Timestamp::from_second(50).unwrap();
        PassRecord {
            at,
            attempted: ours,
            revision: ours,
            reason: String::new(),
            outcomes,
            problems: Vec::new(),
            retry_millis,
        }
    }

    fn world(record: PassRecord) -> World {
        World { answers: true, passes: [Arc::new(record)].into(), ..World::default() }
    }

    fn mine() -> Sees {
        Sees::Servers([serde_json::from_value(1.into()).unwrap()].into())
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_member_sees_their_own_servers_and_no_other_s_error() {
        let outcomes = vec![
            outcome(server(1), Ended::Done),
            outcome(server(2), failed()),
            outcome(Subject::Configuration(Kind::Sites), failed()),
            outcome(Subject::System("hosting-users-caddy".to_owned()), Ended::Done),
        ];
        let world = world(record(outcomes, None));
        let seen = Progress::of(&world, &sheet(), &mine(), NOW);
        let text = serde_json::to_string(&seen).unwrap();
        assert!(text.contains("Server s1") && text.contains("The table of domains"), "{text}");
        assert!(
            !text.contains("s2") && !text.contains("others.example.org") && !text.contains("caddy"),
            "{text}"
        );
        let all = serde_json::to_string(&Progress::of(&world, &sheet(), &Sees::All, NOW)).unwrap();
        assert!(
            all.contains("Server s2") && all.contains("others.example.org") && all.contains("caddy"),
            "{all}"
        );
    }

    #[test]
    fn it_is_over_when_nothing_is_tried_again() {
        let of = |world: &World| Progress::of(world, &sheet(), &Sees::All, NOW);
        let clean = of(&world(record(vec![outcome(server(1), Ended::Done)], None)));
        assert_eq!((clean.title, clean.state.look, clean.waits), ("Applied", Look::Good, false));
        let again = of(&world(record(vec![outcome(server(1), failed())], Some(1000))));
        assert_eq!((again.title, again.state.word, again.waits), ("Applied in part", "tried again", true));
        let other_s =
            world(record(vec![outcome(server(1), Ended::Done), outcome(server(2), failed())], Some(1000)));
        let not_mine = Progress::of(&other_s, &sheet(), &mine(), NOW);
        assert_eq!((not_mine.title, not_mine.state.look, not_mine.waits), ("Applied", Look::Good, false));
        assert!(not_mine.sentence.contains("Nothing of yours waits"));
        let held_back = PassRecord { problems: vec!["held back".to_owned()], ..record(vec![], Some(1000)) };
        assert_eq!(
            (of(&world(held_back.clone())).title, of(&world(held_back)).waits),
            ("Applied in part", true)
        );
        let given_up = of(&world(record(vec![outcome(server(1), failed())], None)));
        assert_eq!((given_up.state.look, given_up.waits), (Look::Bad, false));
        let broken = of(&world(PassRecord {
            revision: None,
            problems: vec!["a.toml:1:1: no".to_owned()],
            ..record(vec![], None)
        }));
        assert_eq!((broken.title, broken.problems.len()), ("Not applied", 1));
    }

    #[test]
    fn nobody_waits_for_what_a_later_pass_has_taken_along() {
        let other = PassRecord { attempted: Some(Origin::Folder), ..record(vec![], None) };
        let of = |is_overtaken| {
            let sheet = CommitSheet { is_overtaken, ..sheet() };
            Progress::of(&world(other.clone()), &sheet, &Sees::All, NOW)
        };
        assert_eq!((of(true).title, of(true).waits), ("Applied with a later change", false));
        // A pass of before the commit may end after it.
        assert_eq!((of(false).title, of(false).waits), ("Not applied yet", true));
    }

    #[test]
    fn what_is_applied_stays_so_while_other_things_are_looked_after() {
        let work = |changes| {
            Some(Work { revision: Origin::Revision(ours()), changes, begun: Vec::new(), ended: Vec::new() })
        };
        let of = |world: &World| Progress::of(world, &sheet(), &Sees::All, NOW).title;
        let clean = record(vec![outcome(server(1), Ended::Done)], None);
        for changes in [0, 1] {
            assert_eq!(of(&World { work: work(changes), ..world(clean.clone()) }), "Applied");
        }
        let failed = record(vec![outcome(server(1), failed())], Some(1000));
        assert_eq!(of(&World { work: work(0), ..world(failed.clone()) }), "Applied in part");
        assert_eq!(of(&World { work: work(1), ..world(failed) }), "Being applied");
        assert_eq!(of(&World { work: work(0), ..World::default() }), "Being applied");
    }

    #[test]
    fn after_a_minute_nobody_is_kept() {
        let said = |seconds, answers| {
            let world = World { answers, ..World::default() };
            Progress::of(&world, &sheet(), &Sees::All, Timestamp::from_second(seconds).unwrap()).sentence
        };
        assert!(said(60, true).contains("has it next") && said(61, true).contains("goes on without you"));
        assert!(said(61, false).contains("doesn’t answer"));
    }
}
