//! Telling the forge of commits, and when. A task of its own: a forge that doesn't listen delays nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_fault::chain;
use berth_host::Waits;
use berth_schema::remote::Remote;
use berth_schema::secret::Form;
use berth_schema::{Origin, Revision};
use berth_secrets::Secrets;
use berth_tasks::Tasks;
use berth_wire::standing::{CommitState, Told};
use berth_wire::{Ended, PassRecord};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, TellError};
use crate::folder::Folder;
use crate::news::News;
use crate::outcomes;

/// Waits before the forge is told again what it didn't take: the first, and the longest.
const WAITS: Waits = Waits::new(Duration::from_secs(1), Duration::from_secs(5 * 60));
/// Commits that wait to be applied or told, and those that are remembered as told.
const KEPT: usize = 64;

/// The way for news to the task that tells the forge.
#[derive(Debug)]
pub(crate) struct Statuses(mpsc::Sender<News>);

impl Statuses {
    /// Begins to tell the forge, until `stop`. `None` where there is no forge to tell, or no token to tell it with.
    pub(crate) fn begin(
        remote: &Remote,
        secrets: &Secrets,
        folder: &Arc<Folder>,
        socket: PathBuf,
        tasks: &Tasks,
        stop: &CancellationToken,
    ) -> Option<Self> {
        let forge = remote.forge?;
        let trouble = |why: Option<String>| folder.change(|standing| standing.telling_trouble = why);
        let token = match secrets.read(&remote.token, Form::Token) {
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
        let listening = outcomes::listen(socket, sender.clone());
        tasks.keep_until(stop, "the task that hears of passes", listening);
        let telling = tell(api, receiver, Arc::clone(folder));
        tasks.keep_until(stop, "the task that tells the forge", telling);
        Some(Self(sender))
    }

    pub(crate) fn accepted(&self, tip: Revision) {
        // Where too much waits already, the next look says the same again.
        let _ = self.0.try_send(News::Accepted(tip));
    }

    pub(crate) fn refused(&self, tip: Revision, why: &str) {
        let _ = self.0.try_send(News::Refused(tip, why.to_owned()));
    }
}

async fn tell(api: Api, mut news: mpsc::Receiver<News>, folder: Arc<Folder>) {
    let mut ledger = Ledger::after(folder.standing().told);
    let mut waits = WAITS;
    let mut not_before = Instant::now();
    loop {
        let due = ledger.due.front().cloned();
        tokio::select! {
            heard = news.recv() => match heard {
                Some(heard) => ledger.hear(heard),
                None => return,
            },
            () = tokio::time::sleep_until(not_before), if due.is_some() => {
                let Some(line) = due else { continue };
                match api.tell(line.revision, line.state, &line.description).await {
                    Ok(()) => {
                        tracing::info!(revision = %line.revision, state = line.state.word(), "the forge was told");
                        ledger.told(&line);
                        waits.reset();
                        folder.change(|standing| {
                            standing.told = Some(line);
                            standing.telling_trouble = None;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(revision = %line.revision, %error, "the forge could not be told");
                        folder.change(|standing| standing.telling_trouble = Some(error.to_string()));
                        match error {
                            TellError::Final(_) => ledger.told(&line),
                            TellError::Passing(_) => {
                                not_before = Instant::now() + waits.next_wait();
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The lines that the forge knows, and those that it has yet to be told. Does no I/O.
#[derive(Debug, Default)]
struct Ledger {
    /// Tips that `main` followed and that no pass has wholly applied yet, the oldest first.
    waiting: VecDeque<Revision>,
    /// The lines to tell, at most one a commit.
    due: VecDeque<Told>,
    /// The line that was told last of each commit.
    known: VecDeque<Told>,
}

impl Ledger {
    fn after(told: Option<Told>) -> Self {
        let mut ledger = Self::default();
        ledger.known.extend(told);
        ledger
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Accepted(tip) => self.accepted(tip),
            News::Refused(tip, why) => self.say(tip, CommitState::Failure, format!("refused: {why}")),
            News::Ended(record) => self.ended(&record),
        }
    }

    fn accepted(&mut self, tip: Revision) {
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

    /// Puts a line on the list, unless it is there or known already.
    fn say(&mut self, revision: Revision, state: CommitState, description: String) {
        let line = Told { revision, state, description };
        if self.last(revision) == Some(&line) {
            return;
        }
        self.due.retain(|due| due.revision != line.revision);
        keep(&mut self.due, line);
    }

    /// The last word on a commit, said or about to be.
    fn last(&self, revision: Revision) -> Option<&Told> {
        self.due.iter().chain(self.known.iter().rev()).find(|line| line.revision == revision)
    }

    fn told(&mut self, line: &Told) {
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
        while let Some(line) = ledger.due.front().cloned() {
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
                "c failure: refused: platform.toml: no",
                "a success: applied together with bbbbbbbbbb",
                "b success: applied: 1 change",
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
}
