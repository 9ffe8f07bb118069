//! What the forge is told of commits, and when. A task of its own: a forge that doesn't listen delays nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::remote::Remote;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::forge::{Api, TellError, Verdict};
use super::outcomes;
use super::secrets::Kind;
use super::standing::Told;
use crate::command::short;
use crate::journal::PassRecord;
use crate::outcome::{Ended, chain};

/// What isn't taken by the forge is tried again after this long at first, and this long at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// Commits that wait to be applied or told, and those that are remembered as told.
const KEPT: usize = 64;

/// Something that a forge might want to know.
#[derive(Debug)]
pub(super) enum News {
    /// `main` follows this tip.
    Accepted(String),
    /// It doesn't follow this one, and why.
    Refused(String, String),
    /// A pass has ended.
    Ended(Box<PassRecord>),
}

/// Where news go.
#[derive(Debug)]
pub(super) struct Statuses(mpsc::Sender<News>);

impl Statuses {
    /// Begins to tell the forge, until `stop`. `None` where there is no forge to tell, or no token to tell it with.
    pub(super) fn begin(
        remote: &Remote,
        folder: &Arc<Folder>,
        socket: PathBuf,
        stop: &CancellationToken,
    ) -> Option<Self> {
        let forge = remote.forge?;
        let trouble = |why: Option<String>| folder.change(|standing| standing.telling_trouble = why);
        let token = match Kind::Token.read(folder.path()) {
            Ok(token) => token,
            Err(error) if error.is_missing() => {
                tracing::info!("no token: the forge isn't told what becomes of its commits");
                trouble(None);
                return None;
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the forge isn't told what becomes of its commits");
                trouble(Some(chain(&error)));
                return None;
            }
        };
        let Some(api) = Api::of(remote, forge, &token) else {
            let why = "nothing says where the forge's API is: set `remote.api`";
            tracing::warn!("{why}");
            trouble(Some(why.to_owned()));
            return None;
        };
        trouble(None);
        let (sender, receiver) = mpsc::channel(KEPT);
        tokio::spawn(outcomes::listen(socket, sender.clone(), stop.clone()));
        tokio::spawn(tell(api, receiver, Arc::clone(folder), stop.clone()));
        Some(Self(sender))
    }

    pub(super) fn accepted(&self, tip: &str) {
        // Where too much waits already, the next look says the same again.
        let _ = self.0.try_send(News::Accepted(tip.to_owned()));
    }

    pub(super) fn refused(&self, tip: &str, why: &str) {
        let _ = self.0.try_send(News::Refused(tip.to_owned(), why.to_owned()));
    }
}

async fn tell(api: Api, mut news: mpsc::Receiver<News>, folder: Arc<Folder>, stop: CancellationToken) {
    let mut ledger = Ledger::after(folder.standing().told);
    let mut wait = FIRST_WAIT;
    let mut not_before = Instant::now();
    loop {
        let due = ledger.due.front().cloned();
        tokio::select! {
            () = stop.cancelled() => return,
            heard = news.recv() => match heard {
                Some(heard) => ledger.hear(heard),
                None => return,
            },
            () = tokio::time::sleep_until(not_before), if due.is_some() => {
                let Some(line) = due else { continue };
                let told = tokio::select! {
                    () = stop.cancelled() => return,
                    told = api.tell(&line.revision, line.verdict, &line.description) => told,
                };
                match told {
                    Ok(()) => {
                        tracing::info!(revision = line.revision, state = line.verdict.word(), "the forge was told");
                        ledger.told(&line);
                        wait = FIRST_WAIT;
                        folder.change(|standing| {
                            standing.told = Some(line.into());
                            standing.telling_trouble = None;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(revision = line.revision, %error, "the forge could not be told");
                        folder.change(|standing| standing.telling_trouble = Some(error.to_string()));
                        match error {
                            TellError::Final(_) => ledger.told(&line),
                            TellError::Passing(_) => {
                                not_before = Instant::now() + wait;
                                wait = (wait * 2).min(LONGEST_WAIT);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One state of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    revision: String,
    verdict: Verdict,
    description: String,
}

/// What the forge knows, and what it has to be told yet. No I/O.
#[derive(Debug, Default)]
struct Ledger {
    /// Tips that `main` followed and that no pass has wholly applied yet, the oldest first.
    waiting: VecDeque<String>,
    /// What is to be told, at most one line a commit.
    due: VecDeque<Line>,
    /// What was told last of each commit.
    known: VecDeque<Line>,
}

impl Ledger {
    fn after(told: Option<Told>) -> Self {
        let mut ledger = Self::default();
        if let Some(told) = told {
            let verdicts = [Verdict::Pending, Verdict::Success, Verdict::Failure];
            let verdict = verdicts.into_iter().find(|verdict| verdict.word() == told.state);
            ledger.known.extend(verdict.map(|verdict| Line {
                revision: told.revision,
                verdict,
                description: told.description,
            }));
        }
        ledger
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Accepted(tip) => self.accepted(tip),
            News::Refused(tip, why) => self.say(&tip, Verdict::Failure, format!("refused: {why}")),
            News::Ended(record) => self.ended(&record),
        }
    }

    fn accepted(&mut self, tip: String) {
        let verdict = self.last(&tip).map(|line| line.verdict);
        if verdict == Some(Verdict::Success) || self.waiting.contains(&tip) {
            return;
        }
        if verdict.is_none() {
            self.say(&tip, Verdict::Pending, "accepted; it is being applied".to_owned());
        }
        keep(&mut self.waiting, tip);
    }

    fn ended(&mut self, record: &PassRecord) {
        let Some(at) = self.waiting.iter().position(|tip| *tip == record.attempted) else { return };
        if !record.is_clean() {
            self.say(&record.attempted, Verdict::Failure, first_problem(record));
            return;
        }
        let applied = match record.outcomes.len() {
            0 => "applied: nothing had to change".to_owned(),
            1 => "applied: 1 change".to_owned(),
            changes => format!("applied: {changes} changes"),
        };
        // What came before it was applied with it.
        for tip in self.waiting.drain(..=at).collect::<Vec<_>>() {
            let description = match tip == record.attempted {
                true => applied.clone(),
                false => format!("applied together with {}", short(&record.attempted)),
            };
            self.say(&tip, Verdict::Success, description);
        }
    }

    /// Puts a line on the list, unless it is there or known already.
    fn say(&mut self, revision: &str, verdict: Verdict, description: String) {
        let line = Line { revision: revision.to_owned(), verdict, description };
        if self.last(revision) == Some(&line) {
            return;
        }
        self.due.retain(|due| due.revision != line.revision);
        keep(&mut self.due, line);
    }

    /// The last word on a commit, said or about to be.
    fn last(&self, revision: &str) -> Option<&Line> {
        self.due.iter().chain(self.known.iter().rev()).find(|line| line.revision == revision)
    }

    fn told(&mut self, line: &Line) {
        self.due.retain(|due| due != line);
        keep(&mut self.known, line.clone());
    }
}

/// Adds at the end, and lets go of the oldest where there are too many.
fn keep<T>(queue: &mut VecDeque<T>, new: T) {
    if queue.len() == KEPT {
        queue.pop_front();
    }
    queue.push_back(new);
}

/// Why a pass isn't clean, in a line.
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

impl From<Line> for Told {
    fn from(line: Line) -> Self {
        Self { revision: line.revision, state: line.verdict.word().to_owned(), description: line.description }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::outcome::Outcome;

    fn pass(attempted: &str, problems: &[&str], failed: bool) -> News {
        let result = match failed {
            true => Ended::Failed { error: "no such image".to_owned(), passing: true },
            false => Ended::Done,
        };
        let outcome = Outcome {
            subject: "server shop (id 1)".to_owned(),
            action: "create".to_owned(),
            result,
            millis: 1,
            steps_done: 0,
            steps: 1,
        };
        News::Ended(Box::new(PassRecord {
            at: Timestamp::UNIX_EPOCH,
            attempted: attempted.to_owned(),
            revision: Some(attempted.to_owned()),
            reason: "ref change".to_owned(),
            outcomes: vec![outcome],
            problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
            retry_millis: None,
        }))
    }

    /// What is told next, all of it.
    fn tell(ledger: &mut Ledger) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = ledger.due.front().cloned() {
            ledger.told(&line);
            lines.push(format!("{} {}: {}", line.revision, line.verdict.word(), line.description));
        }
        lines
    }

    fn accepted(tip: &str) -> News {
        News::Accepted(tip.to_owned())
    }

    #[test]
    fn a_commit_is_pending_until_a_pass_has_applied_it() {
        let mut ledger = Ledger::default();
        ledger.hear(accepted("a"));
        ledger.hear(accepted("a"));
        assert_eq!(tell(&mut ledger), ["a pending: accepted; it is being applied"]);
        ledger.hear(pass("before", &[], false));
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
        ledger.hear(News::Refused("c".to_owned(), "platform.toml: no".to_owned()));
        ledger.hear(pass("b", &[], false));
        assert_eq!(
            tell(&mut ledger),
            [
                "c failure: refused: platform.toml: no",
                "a success: applied together with b",
                "b success: applied: 1 change",
            ]
        );
    }

    #[test]
    fn a_restart_doesnt_tell_it_again() {
        let told = |state: &str| Told {
            revision: "a".to_owned(),
            state: state.to_owned(),
            description: "applied: 1 change".to_owned(),
        };
        let mut ledger = Ledger::after(Some(told("success")));
        ledger.hear(accepted("a"));
        ledger.hear(pass("a", &[], false));
        assert!(tell(&mut ledger).is_empty());
        let mut ledger = Ledger::after(Some(told("pending")));
        ledger.hear(accepted("a"));
        assert!(tell(&mut ledger).is_empty());
        ledger.hear(pass("a", &[], false));
        assert_eq!(tell(&mut ledger), ["a success: applied: 1 change"]);
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut ledger = Ledger::default();
        for at in 0..1000 {
            ledger.hear(accepted(&at.to_string()));
        }
        assert_eq!((ledger.waiting.len(), ledger.due.len()), (KEPT, KEPT));
        assert_eq!(tell(&mut ledger).len(), KEPT);
        assert_eq!(ledger.known.len(), KEPT);
    }
}
