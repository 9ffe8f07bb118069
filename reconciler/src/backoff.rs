//! Backoff: what failed is tried again, later and later; what can't stay up is started ever more rarely.
//!
//! Owns no truth: losing it means trying sooner.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use berth_host::Waits;
use berth_plan::{Action, Change, Plan, Subject};
use berth_schema::Origin;
use berth_wire::{Ended, Outcome, Retry};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// A server that was started so often within `FLAP_WINDOW` isn't staying up.
const FLAPS: usize = 5;
const FLAP_WINDOW: Duration = Duration::from_secs(300);

/// The failures of late, by subject.
#[derive(Debug, Default)]
pub struct Backoff {
    troubles: HashMap<Subject, Trouble>,
    starts: HashMap<Subject, VecDeque<Instant>>,
    /// The pass as a whole: how often it could not run in a row, and when it is due again.
    pass: Option<(u32, Instant)>,
}

#[derive(Debug)]
struct Trouble {
    revision: Origin,
    failures: u32,
    until: Instant,
    error: String,
}

/// A change that waits for its next try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// The object that it is about.
    pub subject: Subject,
    /// Reason that the last try failed.
    pub error: String,
    /// Time that it waits still.
    pub wait: Duration,
}

impl fmt::Display for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, error, wait } = self;
        write!(f, "{subject}: {error}. It is tried again in {} s", wait.as_secs() + 1)
    }
}

impl Backoff {
    /// Takes out of the plan what isn't due yet. A new revision is a new chance for everything.
    pub fn defer(&mut self, plan: &mut Plan, revision: Origin, now: Instant) -> Vec<Deferred> {
        // What is no longer planned has mended itself; keeping it would leave a due time in the past.
        let planned: HashSet<Subject> = plan.changes().map(|change| change.subject.clone()).collect();
        self.troubles.retain(|subject, trouble| trouble.revision == revision && planned.contains(subject));
        let mut deferred = Vec::new();
        let mut is_due = |change: &Change| match self.troubles.get(&change.subject) {
            Some(trouble) if trouble.until > now => {
                let wait = trouble.until - now;
                let (subject, error) = (change.subject.clone(), trouble.error.clone());
                deferred.push(Deferred { subject, error, wait });
                false
            }
            _ => true,
        };
        for stage in &mut plan.stages {
            stage.changes.retain(&mut is_due);
        }
        plan.stages.retain(|stage| !stage.changes.is_empty());
        deferred
    }

    /// Learns from the outcomes of a pass.
    pub fn learn(&mut self, outcomes: &[Outcome], revision: Origin, now: Instant) {
        for outcome in outcomes {
            match &outcome.result {
                Ended::Failed { error, retry } => {
                    let floor = match retry {
                        Retry::After(time) => *time,
                        Retry::OnChange => FIRST * 16,
                        // Another pass may plan something else.
                        Retry::Terminal => LONGEST,
                    };
                    self.fail(&outcome.subject, revision, error.clone(), floor, now);
                }
                Ended::Done if matches!(outcome.action, Action::Start | Action::Create) => {
                    self.started(&outcome.subject, revision, now);
                }
                Ended::Done => {
                    self.troubles.remove(&outcome.subject);
                }
                Ended::Interrupted => {}
            }
        }
    }

    /// Forgets the failures of these subjects: what they failed by is another thing now.
    pub fn forgive(&mut self, is_one: impl Fn(&Subject) -> bool) {
        self.troubles.retain(|subject, _| !is_one(subject));
    }

    /// When the next change is due again.
    pub fn next_due(&self) -> Option<Instant> {
        let changes = self.troubles.values().map(|trouble| trouble.until);
        changes.chain(self.pass.map(|(_, until)| until)).min()
    }

    /// The pass could not run, so it learned nothing of any change; it is due again by itself.
    pub fn pass_failed(&mut self, now: Instant) {
        let failures = self.pass.map_or(0, |(failures, _)| failures);
        // What waits for a pass can't be due before one.
        self.troubles.clear();
        self.pass = Some((failures + 1, now + Waits::new(FIRST, LONGEST).after(failures)));
    }

    /// The pass could run.
    pub fn pass_ran(&mut self) {
        self.pass = None;
    }

    fn fail(&mut self, subject: &Subject, revision: Origin, error: String, floor: Duration, now: Instant) {
        let failures = self.troubles.get(subject).map_or(0, |trouble| trouble.failures);
        let wait = Waits::new(floor, LONGEST).after(failures);
        self.troubles
            .insert(subject.clone(), Trouble { revision, failures: failures + 1, until: now + wait, error });
    }

    fn started(&mut self, subject: &Subject, revision: Origin, now: Instant) {
        let starts = self.starts.entry(subject.clone()).or_default();
        starts.push_back(now);
        while starts.front().is_some_and(|first| now.duration_since(*first) > FLAP_WINDOW) {
            starts.pop_front();
        }
        if starts.len() > FLAPS {
            let error = format!("it was started {} times within {} s", starts.len(), FLAP_WINDOW.as_secs());
            self.fail(subject, revision, error, Duration::from_secs(15), now);
        } else {
            self.troubles.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_plan::step::{Stage, StageKind};
    use berth_schema::Revision;

    use super::*;

    fn plan() -> Plan {
        let change = Change {
            subject: Subject::System("a".to_owned()),
            action: Action::Start,
            reasons: Vec::new(),
            losses: Vec::new(),
            steps: Vec::new(),
        };
        Plan { stages: vec![Stage { kind: StageKind::System, changes: vec![change] }], ..Plan::default() }
    }

    fn outcome(result: Ended) -> Outcome {
        Outcome::of(&plan().stages[0].changes[0], result, 0, 0)
    }

    fn failed() -> Outcome {
        outcome(Ended::Failed { error: "no".to_owned(), retry: Retry::SOON })
    }

    fn r() -> Origin {
        Revision::from_bytes([1; 20]).into()
    }

    fn s() -> Origin {
        Revision::from_bytes([2; 20]).into()
    }

    fn is_deferred(backoff: &mut Backoff, revision: Origin, now: Instant) -> bool {
        let mut plan = plan();
        let deferred = backoff.defer(&mut plan, revision, now);
        assert_eq!(plan.is_empty(), !deferred.is_empty());
        !deferred.is_empty()
    }

    #[test]
    fn each_failure_doubles_the_wait() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        backoff.learn(&[failed()], r(), start);
        assert!(is_deferred(&mut backoff, r(), start));
        assert!(!is_deferred(&mut backoff, r(), start + FIRST));
        backoff.learn(&[failed()], r(), start);
        assert!(is_deferred(&mut backoff, r(), start + FIRST));
        assert_eq!(backoff.next_due(), Some(start + FIRST * 2));
    }

    #[test]
    fn a_mistake_of_berth_s_waits_longest() {
        let now = Instant::now();
        for (retry, wait) in
            [(Retry::SOON, FIRST), (Retry::OnChange, Duration::from_secs(16)), (Retry::Terminal, LONGEST)]
        {
            let mut backoff = Backoff::default();
            backoff.learn(&[outcome(Ended::Failed { error: "no".to_owned(), retry })], r(), now);
            assert_eq!(backoff.next_due(), Some(now + wait), "{retry:?}");
        }
    }

    #[test]
    fn a_pass_that_could_not_run_is_due_again() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        backoff.pass_failed(start);
        assert_eq!(backoff.next_due(), Some(start + FIRST));
        backoff.pass_failed(start);
        assert_eq!(backoff.next_due(), Some(start + FIRST * 2));
        backoff.pass_ran();
        assert_eq!(backoff.next_due(), None);
    }

    #[test]
    fn a_new_revision_is_a_new_chance() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        backoff.learn(&[failed()], r(), now);
        assert!(!is_deferred(&mut backoff, s(), now));
    }

    #[test]
    fn what_does_not_stay_up_is_started_more_rarely() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        for _ in 0..FLAPS {
            backoff.learn(&[outcome(Ended::Done)], r(), now);
            assert!(!is_deferred(&mut backoff, r(), now));
        }
        backoff.learn(&[outcome(Ended::Done)], r(), now);
        assert!(is_deferred(&mut backoff, r(), now));
    }
}
