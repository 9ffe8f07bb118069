//! Forms: changes that somebody fills in, planned, and made a commit in their name.
//!
//! Owns what a form's values come to on top of `main` as it is now: the text, the plan, the permission, the commit. Has no rules
//! of its own: a commit is tried in a scratch repository, and judged there by the code that judges a push of it. Refuses to
//! make anything else than what was shown, and to call anything saved before `main` has moved.

mod blame;
mod doc;
mod draft;
mod drafted;
mod error;
mod ground;
mod judged;
mod keys;
mod marks;
mod proposals;
mod pulls;
mod revert;
mod send;
mod tell;
mod text;
mod topic;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use berth_repo::{Error, Memory, Revision, Signature, StateRepo, Turn, Words};
use berth_schema::name::UserName;
use berth_wire::web::{
    Approve, Change, Commit, Committed, Decided, Object, Planned, ProposalCard, ProposalSheet, Proposed,
    PullCard, PullSheet, Reject, Revert, Standing,
};

use self::draft::draft;
use self::drafted::{Draft, Drafted, Settled};
use self::ground::Ground;
use self::judged::{message, plan, sealed, settled};
use self::send::{Goes, Sending, may_send, send, way};
use self::tell::error_at;
use self::text::kind_of;
use crate::line::Line;
use crate::review::{enough_open, propose};

pub use error::FormError;
pub use ground::{Author, Via};
pub use marks::Marks;
pub use tell::{DOOR, Sight, commit_line, concerns, diffs};

/// Attempts at a commit. Each one after the first means that somebody moved `main` meanwhile without a turn.
const ATTEMPTS: usize = 5;

/// Time for which a look at the engine, begun before a wait, is as good as a new one.
const SIGHT: Duration = Duration::from_secs(1);

/// The forms of one state repo. It remembers what it read last, so that a change reads only what changed. Every question
/// blocks: it reads and writes the repository, and may ask DNS and the engine.
pub struct Forms {
    state: PathBuf,
    resolver: Option<SocketAddr>,
    memory: Memory,
    marks: Option<Marks>,
    line: Line,
    /// Set where somebody around this has the turn to move `main`.
    has_turn: bool,
}

/// A change, planned, and what a commit of it needs.
struct Looked {
    planned: Planned,
    /// `None` where there is nothing to commit.
    ready: Option<Ready>,
}

struct Ready {
    main: Revision,
    draft: Draft,
    by: Signature,
    goes: Goes,
}

impl Forms {
    /// Forms of the repository at `state`. `resolver` is asked whose names are, in place of the platform's.
    pub fn of(state: &Path, resolver: Option<SocketAddr>) -> Self {
        let (line, has_turn) = (Line::silent(), false);
        Self { state: state.to_owned(), resolver, memory: Memory::default(), marks: None, line, has_turn }
    }

    /// Waits in this line to move `main`.
    pub fn waiting(self, line: Line) -> Self {
        Self { line, ..self }
    }

    /// Waits for nobody: whoever calls this has the turn.
    pub fn in_turn(self, _turn: &Turn) -> Self {
        Self { has_turn: true, ..self }
    }

    /// Shares the memory of others who read the same repository.
    pub fn knowing(self, memory: &Memory) -> Self {
        Self { memory: memory.clone(), ..self }
    }

    /// Takes texts with these marks in place of secrets, and shows them so.
    pub fn marking(self, marks: Marks) -> Self {
        Self { marks: Some(marks), ..self }
    }

    /// Tells what a change comes to. Nothing is kept of it.
    pub fn plan(&self, author: Author<'_>, change: &Change) -> Result<Planned, FormError> {
        self.with(|repo| Ok(self.look(repo, author, change)?.planned))
    }

    /// Makes a change if it still comes to what was shown. While `main` moves, it is looked at again on top of that.
    pub fn commit(&self, author: Author<'_>, commit: &Commit) -> Result<Committed, FormError> {
        self.with(|repo| {
            let _turn = self.turn(repo, author)?;
            for _ in 0..ATTEMPTS {
                let Looked { planned, ready } = self.look(repo, author, &commit.change)?;
                let is_same = planned.digest == commit.digest && is_for_now(&planned, commit.knows);
                let Some(ready) = ready.filter(|_| is_same) else {
                    return Ok(Committed::Changed { planned: Box::new(planned) });
                };
                let knows = (!planned.shuts_out.is_empty()).then_some(author.name);
                if ready.goes == Goes::ToForge {
                    return Ok(sent(self.post(repo, author, planned, (ready, knows, true))?));
                }
                let Ready { main, draft, by, .. } = ready;
                let message = message(author.via, &draft.summary, "", knows);
                let words = Words { author: &by, committer: &by, message: &message };
                match repo.commit(Some(&main), &draft.edits, &words) {
                    Ok(revision) => return Ok(Committed::Made { revision }),
                    Err(Error::Moved { .. }) => {}
                    Err(source) => return Err(self.failed(source)),
                }
            }
            Err(FormError::Busy)
        })
    }

    /// Makes a proposal of a change: one that needs somebody's consent, or one that the person would rather have looked at.
    pub fn propose(&self, author: Author<'_>, change: &Change) -> Result<Proposed, FormError> {
        self.with(|repo| {
            let Looked { planned, ready } = self.look(repo, author, change)?;
            let (Some(ready), Standing::Allowed | Standing::NeedsReview { .. }) = (ready, &planned.standing)
            else {
                return Err(not_proposed(planned));
            };
            if ready.goes == Goes::ToForge {
                return self.post(repo, author, planned, (ready, None, false));
            }
            let Ready { main, draft, by, .. } = ready;
            may_propose(&Ground::look(repo, author, self.resolver)?)?;
            let topic = topic::of_file(repo, &draft.own.path, kind_of(&draft.own))?;
            let message = message(author.via, &draft.summary, "", None);
            let words = Words { author: &by, committer: &by, message: &message };
            let revision =
                repo.write(Some(&main), &draft.edits, &words).map_err(|source| self.failed(source))?;
            propose(repo, &topic, revision, by)?;
            Ok(Proposed { topic: topic.to_string(), revision, is_sent: false })
        })
    }

    /// Plans to take back what a revision changed, or does so where the plan was seen.
    pub fn revert(&self, author: Author<'_>, asked: &Revert) -> Result<Committed, FormError> {
        self.with(|repo| {
            let _turn = asked.digest.is_some().then(|| self.turn(repo, author)).transpose()?;
            for _ in 0..ATTEMPTS {
                let ground = Ground::look(repo, author, self.resolver)?;
                let (planned, ready) = revert::look(&ground, &asked.revision)?;
                let is_same =
                    asked.digest.as_ref() == Some(&planned.digest) && is_for_now(&planned, asked.knows);
                let Some(ready) = ready.filter(|_| is_same) else {
                    return Ok(Committed::Changed { planned: Box::new(planned) });
                };
                let knows = (!planned.shuts_out.is_empty()).then_some(author.name);
                if ready.goes == Goes::ToForge {
                    may_send(&ground)?;
                    let commit = revert::taken_back(&ground, &asked.revision, &ready, knows)?;
                    let sending = taking_back(commit, ready.by, &asked.revision, true)?;
                    return Ok(sent(send(&ground, planned, sending)?));
                }
                if let Some(revision) = revert::make(&ground, &asked.revision, &ready, knows)? {
                    return Ok(Committed::Made { revision });
                }
            }
            Err(FormError::Busy)
        })
    }

    /// Makes a proposal to take back what a revision changed.
    pub fn propose_revert(&self, author: Author<'_>, revision: &Revision) -> Result<Proposed, FormError> {
        self.with(|repo| {
            let ground = Ground::look(repo, author, self.resolver)?;
            let (planned, ready) = revert::look(&ground, revision)?;
            let (Some(ready), Standing::Allowed | Standing::NeedsReview { .. }) = (ready, &planned.standing)
            else {
                return Err(not_proposed(planned));
            };
            if ready.goes == Goes::ToForge {
                may_send(&ground)?;
                let commit = revert::taken_back(&ground, revision, &ready, None)?;
                return send(&ground, planned, taking_back(commit, ready.by, revision, false)?);
            }
            may_propose(&ground)?;
            let topic = topic::of_revert(ground.repo, revision)?;
            let taken = revert::taken_back(&ground, revision, &ready, None)?.ok_or(FormError::Busy)?;
            propose(ground.repo, &topic, taken, ready.by)?;
            Ok(Proposed { topic: topic.to_string(), revision: taken, is_sent: false })
        })
    }

    /// The proposals that wait and that somebody may read.
    pub fn proposals(&self, author: Author<'_>) -> Result<Vec<ProposalCard>, FormError> {
        self.with(|repo| proposals::all(repo, author, self.resolver))
    }

    /// One proposal.
    pub fn proposal(&self, author: Author<'_>, topic: &str) -> Result<ProposalSheet, FormError> {
        self.with(|repo| proposals::one(repo, author, topic, self.resolver))
    }

    /// Merges a proposal that somebody agrees to.
    pub fn approve(&self, author: Author<'_>, approval: &Approve) -> Result<Decided, FormError> {
        self.with(|repo| proposals::approve(repo, author, approval, (self.resolver, self.line)))
    }

    /// Closes a proposal without merging it.
    pub fn reject(&self, author: Author<'_>, reject: &Reject) -> Result<(), FormError> {
        self.with(|repo| proposals::reject(repo, author, reject))
    }

    /// The changes that went to the forge and that somebody may read, the newest first.
    pub fn pulls(&self, author: Author<'_>) -> Result<Vec<PullCard>, FormError> {
        self.with(|repo| pulls::all(&Ground::look(repo, author, self.resolver)?))
    }

    /// One of these changes.
    pub fn pull(&self, author: Author<'_>, user: &UserName, topic: &str) -> Result<PullSheet, FormError> {
        self.with(|repo| pulls::one(&Ground::look(repo, author, self.resolver)?, user, topic))
    }

    /// Takes one of these changes back, as long as the forge doesn't have it.
    pub fn withdraw(&self, author: Author<'_>, user: &UserName, topic: &str) -> Result<(), FormError> {
        self.with(|repo| pulls::withdraw(&Ground::look(repo, author, self.resolver)?, user, topic))
    }

    /// Makes the commit of a change, and sends it on its way to the forge.
    fn post(
        &self,
        repo: &mut StateRepo,
        author: Author<'_>,
        planned: Planned,
        (Ready { main, draft, by, .. }, knows, is_committed): (Ready, Option<&UserName>, bool),
    ) -> Result<Proposed, FormError> {
        let ground = Ground::look(repo, author, self.resolver)?;
        may_send(&ground)?;
        let message = message(author.via, &draft.summary, "", knows);
        let words = Words { author: &by, committer: &by, message: &message };
        let commit = ground.repo.write(Some(&main), &draft.edits, &words);
        let commit = commit.map_err(|source| self.failed(source))?;
        let words = topic::words_of_file(&draft.own.path, kind_of(&draft.own));
        send(&ground, planned, Sending { commit, by, words, is_committed })
    }

    /// Plans a change on top of `main` as it is now.
    fn look<'a>(
        &'a self,
        repo: &'a mut StateRepo,
        author: Author<'a>,
        change: &Change,
    ) -> Result<Looked, FormError> {
        let ground = Ground { marks: self.marks.as_ref(), ..Ground::look(repo, author, self.resolver)? };
        let end =
            |settled_as: Settled| Ok(Looked { planned: sealed(change, settled(settled_as))?, ready: None });
        let (state, goes) = match way(&ground)? {
            Ok(way) => way,
            Err(invalid) => return end(Settled::refused(vec![error_at(None, &invalid)])),
        };
        let drafted = match &change.of {
            Object::Doc(below) => doc::draft(&ground, &state, below, &change.deed),
            _ => draft(&ground, &state, change),
        };
        let draft = match drafted? {
            Drafted::Ready(draft) => draft,
            Drafted::Settled(settled) => return end(settled),
        };
        let by = ground.signature();
        let planned = sealed(change, plan(&ground, &draft, &by)?)?;
        Ok(Looked { planned, ready: Some(Ready { main: ground.main, draft, by, goes }) })
    }

    /// Waits for the turn to move `main`, unless somebody around this has it.
    fn turn(&self, repo: &StateRepo, author: Author<'_>) -> Result<Option<Turn>, FormError> {
        if self.has_turn {
            return Ok(None);
        }
        let start = Instant::now();
        let turn = self.line.to_main(repo.git_dir())?;
        if start.elapsed() > SIGHT {
            // What was seen before the wait is no more.
            author.engine.begin();
        }
        Ok(Some(turn))
    }

    /// Lets `act` work on the repository.
    fn with<T>(&self, act: impl FnOnce(&mut StateRepo) -> Result<T, FormError>) -> Result<T, FormError> {
        let repo = StateRepo::open(&self.state).map_err(|source| self.failed(source))?;
        act(&mut repo.knowing(&self.memory))
    }

    fn failed(&self, source: Error) -> FormError {
        FormError::Repo { path: self.state.clone(), source }
    }
}

/// The answer to a commit that went to the forge.
fn sent(Proposed { topic, revision, .. }: Proposed) -> Committed {
    Committed::Sent { topic, revision }
}

/// A commit that takes a revision back, on its way to the forge.
fn taking_back(
    commit: Option<Revision>,
    by: Signature,
    revision: &Revision,
    is_committed: bool,
) -> Result<Sending, FormError> {
    let commit = commit.ok_or(FormError::Busy)?;
    Ok(Sending { commit, by, words: topic::words_of_revert(revision), is_committed })
}

/// Returns whether somebody may make a change now: it is theirs to make, and they know what they lose by it.
fn is_for_now(planned: &Planned, knows: bool) -> bool {
    planned.standing == Standing::Allowed && (knows || planned.shuts_out.is_empty())
}

/// Refuses a proposal of somebody who has enough of them open. An admin's aren't counted: they could close any.
fn may_propose(ground: &Ground<'_>) -> Result<(), FormError> {
    if ground.is_admin() {
        return Ok(());
    }
    match enough_open(ground.repo, ground.author.name, ground.help())? {
        Some(invalid) => Err(FormError::Refused { message: invalid.message, advice: Some(invalid.hint) }),
        None => Ok(()),
    }
}

fn not_proposed(planned: Planned) -> FormError {
    let first = planned.findings.into_iter().find(|finding| finding.is_error);
    match (planned.standing, first) {
        (_, Some(first)) => FormError::Refused { message: first.message, advice: first.hint },
        _ => FormError::Refused { message: "there is nothing to propose".to_owned(), advice: None },
    }
}
