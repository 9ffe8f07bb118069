//! The lines that the forge knows, and those that it has yet to be told. Does no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use berth_host::Waits;
use berth_schema::remote::Remote;
use berth_schema::text::safe_line;
use berth_schema::{Origin, Revision};
use berth_wire::standing::{CommitState, Told};
use berth_wire::{Ended, PassRecord};
use tokio::time::Instant;

use crate::api::LONGEST;
use crate::exchange::Trouble;
use crate::news::News;
use crate::owed::Owed;
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
    /// The ledger as it was when this was written down.
    pub(super) fn after(told: Option<&Told>, owed: &Owed) -> Self {
        let now = Instant::now();
        let due = |line: &Told| Due {
            line: line.clone(),
            since: now,
            wait: Wait::none(),
            not_before: now,
            trouble: None,
        };
        let known = |line: &Told| Known { line: line.clone(), at: now, others: 0 };
        let mut ledger = Self::default();
        ledger.known.extend(told.map(known));
        ledger.waiting.extend(owed.waiting.iter().take(KEPT));
        ledger.due.extend(owed.lines.iter().take(KEPT).map(due));
        ledger
    }

    /// Everything that has to outlive this process.
    pub(super) fn owed(&self, remote: &Remote) -> Owed {
        let lines = self.due.iter().map(|due| due.line.clone());
        Owed::new(remote, self.waiting.iter().copied().collect(), lines.collect())
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
        let description = safe_line(&description, LONGEST);
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
                    due.wait.renew();
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
        let due = self.due.iter().filter(|due| due.wait.is_over() && due.not_before <= now);
        // Whatever was tried last comes last, so that a forge that hangs at one commit hears of the others.
        due.min_by_key(|due| due.wait.at).map(|due| due.line.clone())
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
        due.wait.failed(trouble, pause)
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
mod tests;
