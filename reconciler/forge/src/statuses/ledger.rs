//! The lines that the forge knows, and those that it has yet to be told. Does no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use berth_host::Waits;
use berth_schema::{Origin, Revision};
use berth_wire::standing::{CommitState, Told};
use berth_wire::{Ended, PassRecord};
use tokio::time::Instant;

use crate::exchange::Trouble;
use crate::news::News;
use crate::waits::{Outlook, Pause, Wait};

/// Commits that wait to be applied or told, and those that are remembered as told.
pub(super) const KEPT: usize = 64;
/// Distances between other words for the same state of a commit. A forge takes a limited number of them (GitHub a thousand; GitLab
/// makes a job of each), so a pass that fails each minute in other words must not use them up before it succeeds.
const OTHER_WORDS: Waits = Waits::new(Duration::from_secs(60), Duration::from_secs(6 * 60 * 60));
/// Time after which a line that the forge doesn't take is given up, once the forge's branch has gone on.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The lines that the forge knows, and those that it has yet to be told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Tips that `main` followed and that no pass has wholly applied yet, the oldest first.
    waiting: VecDeque<Revision>,
    /// The lines to tell, at most one a commit, the oldest first.
    due: VecDeque<Due>,
    /// The line that was told last of each commit.
    known: VecDeque<Known>,
    /// The tip that was heard of last.
    newest: Option<Revision>,
}

/// A line to tell.
#[derive(Debug)]
struct Due {
    line: Told,
    since: Instant,
    /// The next attempt: each commit has its own, so that none that the forge can't take silences the others.
    wait: Wait,
    /// It isn't told before, so that a forge isn't told other words for the same again and again.
    not_before: Instant,
    /// Reason that it wasn't taken.
    trouble: Option<String>,
}

/// A line that was told.
#[derive(Debug)]
struct Known {
    line: Told,
    at: Instant,
    /// Lines of the same state before this one.
    others: u32,
}

impl Ledger {
    pub(super) fn after(told: Option<Told>) -> Self {
        let mut ledger = Self::default();
        ledger.known.extend(told.map(|line| Known { line, at: Instant::now(), others: 0 }));
        ledger
    }

    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Accepted(tip) => self.accepted(tip),
            News::Refused(tip, why) => {
                self.newest = Some(tip);
                self.say(tip, CommitState::Failure, format!("refused: {why}"));
            }
            News::Ended(record) => self.ended(&record),
        }
    }

    fn accepted(&mut self, tip: Revision) {
        self.newest = Some(tip);
        let state = self.last(tip).map(|line| line.state);
        if state == Some(CommitState::Success) || self.waiting.contains(&tip) {
            return;
        }
        if state.is_none() {
            self.say(tip, CommitState::Pending, "accepted; it is being applied".to_owned());
        }
        keep(&mut self.waiting, tip);
    }

    fn ended(&mut self, record: &PassRecord) {
        let Some(attempted) = record.attempted.as_ref().and_then(Origin::revision) else { return };
        let Some(at) = self.waiting.iter().position(|tip| *tip == attempted) else { return };
        if !record.is_clean() {
            self.say(attempted, CommitState::Failure, first_problem(record));
            return;
        }
        let applied = match record.outcomes.len() {
            0 => "applied: nothing had to change".to_owned(),
            1 => "applied: 1 change".to_owned(),
            changes => format!("applied: {changes} changes"),
        };
        // What came before it was applied with it.
        for tip in self.waiting.drain(..=at).collect::<Vec<_>>() {
            let description = match tip == attempted {
                true => applied.clone(),
                false => format!("applied together with {}", attempted.short()),
            };
            self.say(tip, CommitState::Success, description);
        }
    }

    /// Puts a line on the list in place of an earlier one of the commit, unless the forge shows it already.
    fn say(&mut self, revision: Revision, state: CommitState, description: String) {
        let now = Instant::now();
        let line = Told { revision, state, description };
        let known = self.known.iter().find(|known| known.line.revision == revision);
        if known.is_some_and(|known| known.line == line) {
            self.due.retain(|due| due.line.revision != revision);
            return;
        }
        let not_before = known
            .filter(|known| known.line.state == state)
            .map_or(now, |known| known.at + OTHER_WORDS.after(known.others));
        match self.due.iter_mut().find(|due| due.line.revision == revision) {
            Some(due) => {
                if due.line.state != state {
                    due.wait = Wait::none();
                }
                (due.line, due.not_before) = (line, not_before);
            }
            None => {
                keep(&mut self.due, Due { line, since: now, wait: Wait::none(), not_before, trouble: None });
            }
        }
    }

    /// The last word on a commit, said or about to be.
    fn last(&self, revision: Revision) -> Option<&Told> {
        let due = self.due.iter().map(|due| &due.line);
        due.chain(self.known.iter().map(|known| &known.line)).find(|line| line.revision == revision)
    }

    /// Returns whether there is anything to tell, now or later.
    pub(super) fn owes(&self) -> bool {
        !self.due.is_empty()
    }

    /// The next line that is due.
    pub(super) fn next(&mut self) -> Option<Told> {
        let (now, newest) = (Instant::now(), self.newest);
        self.due.retain(|due| {
            let is_given_up = due.trouble.is_some()
                && newest.is_some_and(|newest| newest != due.line.revision)
                && now.duration_since(due.since) > OLD;
            if is_given_up {
                tracing::warn!(revision = %due.line.revision, "the forge isn't told of this commit any more");
            }
            !is_given_up
        });
        let due = self.due.iter().find(|due| due.wait.is_over() && due.not_before <= now);
        due.map(|due| due.line.clone())
    }

    /// The forge took a line.
    pub(super) fn told(&mut self, line: &Told) {
        self.due.retain(|due| due.line != *line);
        let before = self.known.iter().position(|known| known.line.revision == line.revision);
        let before = before.and_then(|at| self.known.remove(at));
        let others =
            before.filter(|known| known.line.state == line.state).map_or(0, |known| known.others + 1);
        keep(&mut self.known, Known { line: line.clone(), at: Instant::now(), others });
    }

    /// The forge didn't take a line: it is told again, as it is then.
    pub(super) fn failed(&mut self, line: &Told, trouble: &Trouble, pause: &mut Pause) -> Outlook {
        let Some(due) = self.due.iter_mut().find(|due| due.line == *line) else { return Outlook::Open };
        due.trouble = Some(trouble.to_string());
        let outlook = due.wait.failed(trouble, pause);
        if outlook == Outlook::NeedsSomebody && !matches!(trouble, Trouble::Refused(_)) {
            due.wait.refused();
        }
        outlook
    }

    /// The first reason that something can't be told.
    pub(super) fn trouble(&self) -> Option<String> {
        self.due.iter().find_map(|due| due.trouble.clone())
    }

    /// Lets everything that wasn't taken be told at once.
    pub(super) fn forget_waits(&mut self) {
        for due in &mut self.due {
            due.wait = Wait::none();
        }
    }
}

/// Adds at the end, and lets go of the oldest where there are too many.
fn keep<T>(queue: &mut VecDeque<T>, new: T) {
    if queue.len() == KEPT {
        queue.pop_front();
    }
    queue.push_back(new);
}

/// Says in a line why a pass isn't clean.
fn first_problem(record: &PassRecord) -> String {
    let failed = record.outcomes.iter().filter(|outcome| !outcome.is_done());
    let failed: Vec<String> = failed
        .map(|outcome| match &outcome.result {
            Ended::Failed { error, .. } => format!("{} {}: {error}", outcome.action, outcome.subject),
            Ended::Done | Ended::Interrupted => {
                format!("{} {}: interrupted", outcome.action, outcome.subject)
            }
        })
        .collect();
    let all = failed.len() + record.problems.len();
    let first = failed.first().or(record.problems.first()).cloned().unwrap_or_default();
    match all {
        0 | 1 => first,
        _ => format!("{first} (and {} more)", all - 1),
    }
}

#[cfg(test)]
mod tests {
    use berth_plan::Action;
    use berth_wire::Outcome;
    use jiff::Timestamp;

    use super::*;

    /// The commit of which these are the first letters.
    fn tip(letter: &str) -> Revision {
        letter.repeat(40).parse().unwrap()
    }

    fn pass(attempted: &str, problems: &[&str], failed: bool) -> News {
        let result = match failed {
            true => Ended::Failed { error: "no such image".to_owned(), retry: berth_wire::Retry::SOON },
            false => Ended::Done,
        };
        let outcome = Outcome {
            subject: "server shop (id 1)".parse().unwrap(),
            action: Action::Create,
            result,
            millis: 1,
            steps_done: 0,
            steps: 1,
        };
        News::Ended(Box::new(PassRecord {
            at: Timestamp::UNIX_EPOCH,
            attempted: Some(tip(attempted).into()),
            revision: Some(tip(attempted).into()),
            reason: "ref change".to_owned(),
            outcomes: vec![outcome],
            problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
            retry_millis: None,
        }))
    }

    /// Tells everything that is due, and returns the lines.
    fn tell(ledger: &mut Ledger) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = ledger.next() {
            ledger.told(&line);
            let letter = &line.revision.to_string()[..1];
            lines.push(format!("{letter} {}: {}", line.state.word(), line.description));
        }
        lines
    }

    fn accepted(letter: &str) -> News {
        News::Accepted(tip(letter))
    }

    #[test]
    fn a_commit_is_pending_until_a_pass_has_applied_it() {
        let mut ledger = Ledger::default();
        ledger.hear(accepted("a"));
        ledger.hear(accepted("a"));
        assert_eq!(tell(&mut ledger), ["a pending: accepted; it is being applied"]);
        ledger.hear(pass("0", &[], false));
        assert!(tell(&mut ledger).is_empty());
        ledger.hear(pass("a", &["held back"], true));
        ledger.hear(pass("a", &["held back"], true));
        assert_eq!(tell(&mut ledger), ["a failure: create server shop (id 1): no such image (and 1 more)"]);
        ledger.hear(accepted("a"));
        ledger.hear(pass("a", &[], false));
        ledger.hear(pass("a", &[], true));
        ledger.hear(accepted("a"));
        assert_eq!(tell(&mut ledger), ["a success: applied: 1 change"]);
    }

    #[test]
    fn what_a_later_tip_overtook_was_applied_with_it() {
        let mut ledger = Ledger::default();
        ledger.hear(accepted("a"));
        ledger.hear(accepted("b"));
        ledger.hear(News::Refused(tip("c"), "platform.toml: no".to_owned()));
        ledger.hear(pass("b", &[], false));
        assert_eq!(
            tell(&mut ledger),
            [
                "a success: applied together with bbbbbbbbbb",
                "b success: applied: 1 change",
                "c failure: refused: platform.toml: no",
            ]
        );
    }

    #[test]
    fn a_restart_doesnt_tell_it_again() {
        let told = |state: CommitState| Told {
            revision: tip("a"),
            state,
            description: "applied: 1 change".to_owned(),
        };
        let mut ledger = Ledger::after(Some(told(CommitState::Success)));
        ledger.hear(accepted("a"));
        ledger.hear(pass("a", &[], false));
        assert!(tell(&mut ledger).is_empty());
        let mut ledger = Ledger::after(Some(told(CommitState::Pending)));
        ledger.hear(accepted("a"));
        assert!(tell(&mut ledger).is_empty());
        ledger.hear(pass("a", &[], false));
        assert_eq!(tell(&mut ledger), ["a success: applied: 1 change"]);
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut ledger = Ledger::default();
        for at in 0..1000_u16 {
            let mut bytes = [0; 20];
            bytes[..2].copy_from_slice(&at.to_be_bytes());
            ledger.hear(News::Accepted(Revision::from_bytes(bytes)));
        }
        assert_eq!((ledger.waiting.len(), ledger.due.len()), (KEPT, KEPT));
        assert_eq!(tell(&mut ledger).len(), KEPT);
        assert_eq!(ledger.known.len(), KEPT);
    }

    fn trouble(of: fn(String) -> Trouble) -> Trouble {
        of("no".to_owned())
    }

    /// Tries to tell the next line in vain; returns the commit's first letter, and whether there was a line.
    fn fail(ledger: &mut Ledger, pause: &mut Pause, why: &Trouble) -> Option<String> {
        let line = ledger.next()?;
        ledger.failed(&line, why, pause);
        Some(line.revision.to_string()[..1].to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_isnt_taken_is_told_again_with_the_newest_word() {
        let (mut ledger, mut pause) = (Ledger::default(), Pause::default());
        let refused = trouble(Trouble::Refused);
        ledger.hear(accepted("a"));
        assert!(fail(&mut ledger, &mut pause, &refused).is_some());
        assert!(ledger.next().is_none() && ledger.trouble().is_some());
        ledger.hear(pass("a", &["held back"], false));
        // A change of state is told at once.
        assert!(fail(&mut ledger, &mut pause, &refused).is_some());
        for seconds in [60, 900, 900] {
            ledger.hear(pass("a", &[&format!("held back before {seconds}")], false));
            tokio::time::sleep(Duration::from_secs(seconds - 1)).await;
            assert!(ledger.next().is_none(), "{seconds}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(fail(&mut ledger, &mut pause, &refused).is_some(), "{seconds}");
        }
        // Another token is tried at once.
        ledger.forget_waits();
        assert_eq!(tell(&mut ledger), ["a failure: held back before 900"]);
        assert_eq!(ledger.trouble(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_lags_is_told_for_minutes_and_then_seldom() {
        let (mut ledger, mut pause) = (Ledger::default(), Pause::default());
        let lagging = trouble(Trouble::Lagging);
        ledger.hear(accepted("a"));
        let start = Instant::now();
        let mut attempts = Vec::new();
        while start.elapsed() < Duration::from_secs(3600) {
            if fail(&mut ledger, &mut pause, &lagging).is_some() {
                attempts.push(start.elapsed().as_secs());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(attempts, [0, 1, 3, 7, 15, 31, 63, 127, 255, 1155, 2055, 2955]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_commit_that_isnt_taken_silences_no_other() {
        let (mut ledger, mut pause) = (Ledger::default(), Pause::default());
        let ailing = trouble(Trouble::Ailing);
        ledger.hear(accepted("a"));
        assert_eq!(fail(&mut ledger, &mut pause, &ailing).as_deref(), Some("a"));
        ledger.hear(accepted("b"));
        ledger.hear(News::Refused(tip("c"), "no".to_owned()));
        assert_eq!(tell(&mut ledger).len(), 2);
        assert!(ledger.trouble().is_some(), "it is known that one is missing");
        // It is given up once the branch has gone on and a day is over.
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_secs(300)).await;
            fail(&mut ledger, &mut pause, &ailing);
        }
        assert!(!ledger.owes() && ledger.trouble().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn other_words_come_at_growing_distances_and_another_state_at_once() {
        let mut ledger = Ledger::default();
        ledger.hear(accepted("a"));
        let mut told = tell(&mut ledger).len();
        // A week of passes, each of which fails in other words.
        for minute in 0..7 * 24 * 60 {
            ledger.hear(pass("a", &[&format!("failed at {minute}")], false));
            told += tell(&mut ledger).len();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        assert!((20..60).contains(&told), "{told}");
        ledger.hear(pass("a", &[], false));
        assert_eq!(tell(&mut ledger), ["a success: applied: 1 change"]);
        // Words that the forge shows already need no other.
        ledger.hear(accepted("b"));
        ledger.hear(pass("b", &["one"], false));
        assert_eq!(tell(&mut ledger), ["b failure: one"]);
        ledger.hear(pass("b", &["two"], false));
        ledger.hear(pass("b", &["one"], false));
        assert!(!ledger.owes());
    }
}
