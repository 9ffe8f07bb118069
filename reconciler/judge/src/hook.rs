//! A push to the state repo, judged before it is accepted.
//!
//! Owns what `git receive-pack` asks of its hooks: which refs may move, whether the new state is good, whether history
//! stays free of secrets, whether the policy allows it, and what it would change. Refuses to change anything itself: git
//! moves the refs, the daemon does the rest.

mod fetched;
mod install;
mod made;
mod proposal;
mod search;
mod seen;
mod to_main;
pub mod view;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use berth_plan::Plan;
use berth_repo::git::GitError;
use berth_repo::{Loaded, MAIN, PROPOSALS, Revision, StateRepo};
use berth_schema::brief::{Extent, LINES};
use berth_schema::name::{Invalid, UserName};
use berth_schema::policy::Actor;
use berth_schema::report::{Look, report_of};
use berth_schema::{Finding, Severity, State};

use crate::case::CaseError;
use crate::history::{History, Range};
use crate::refusals;
use crate::sights::Sights;
use crate::spelling;
use crate::update::Update;

pub use fetched::judge_fetched;
pub use install::{InstallError, Installed, install};
pub(crate) use made::{Made, judge_made};
pub use seen::Seen;
pub(crate) use seen::hide_from;

/// A push that can't be judged. It is refused then.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum HookError {
    /// The repository can't be read.
    #[error("cannot read the state repo {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// Git's own programs can't say what is new.
    #[error(transparent)]
    History(#[from] GitError),
    /// The change can't be looked at.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A proposal can't be looked at.
    #[error(transparent)]
    Review(#[from] crate::review::ReviewError),
}

/// Way to all the findings of a push that is refused.
const ALL_FOUND: &str =
    "mend these and push again; `berth check --all` in a clone shows every mistake of its files";
/// Fewest lines for the findings of one ref.
const LEAST: usize = 12;

/// Refs that only Berth writes: what it remembers, and what it noted.
const KEPT: [&str; 2] = ["refs/berth/", "refs/notes/berth"];

/// The verdict on a push, as it is told to whoever pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// True if git may move the refs.
    pub accepted: bool,
    /// The text to tell.
    pub text: String,
}

/// The pusher, and the outside sources (DNS, the engine) that the judge may consult.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The name that the door gives to whoever pushes. `None` is somebody who has the repository's files, and could change
    /// them without asking.
    pub user: Option<&'a str>,
    /// The look of the text that they get.
    pub look: Look,
    /// The source that sees the engine.
    pub engine: &'a dyn Sights,
    /// The resolver that is asked for proofs, in place of the platform's.
    pub resolver: Option<SocketAddr>,
    /// Address that they come from, where the door knows it and `access.panel` binds it.
    pub from: Option<IpAddr>,
    /// Power in which they ask.
    pub acts: Acts,
}

impl Asker<'_> {
    /// Returns whether they may do everything, as a state has it.
    fn is_admin(&self, state: &State) -> bool {
        match self.user.map(str::parse::<UserName>) {
            None => true,
            Some(Ok(name)) => self.actor(&name).is_admin(state),
            Some(Err(_)) => false,
        }
    }

    /// The person of this name, as the policy is asked about them.
    fn actor<'n>(&self, name: &'n UserName) -> Actor<'n> {
        match self.acts {
            Acts::AsThemselves => Actor::Member(name),
            Acts::AsMember => Actor::AsMember(name),
        }
    }
}

/// Power in which somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acts {
    /// Their role's.
    AsThemselves,
    /// A member's, whatever their role is.
    AsMember,
}

/// A push while it is judged.
struct Push<'a> {
    repo: &'a mut StateRepo,
    history: History,
    asker: Asker<'a>,
    /// Findings of the refs before the one that is being judged: the same path may have another text there.
    before: Vec<Found>,
    found: Found,
    /// Text besides findings where the push is accepted.
    talk: String,
    /// Text besides findings in any case.
    notes: String,
    /// The eyes of whoever pushes, where they see other commits than are judged.
    seen: Option<&'a Seen>,
    /// Advice where it is refused.
    advice: &'static str,
    /// Commits that are searched for what may not pass through history.
    searched: Searched,
    /// The consent that the change wants.
    consent: Option<Consent>,
    /// The revision that the change is built on.
    from: Option<Revision>,
    /// Lockouts of its author, who doesn't say that they know.
    unconfirmed: Vec<Finding>,
    plan: Option<Plan>,
}

/// Commits that are searched, and who lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Searched {
    /// Whatever a push adds, as git's own programs list it.
    Push,
    /// The one commit that Berth made itself, on top of the revision before. No program is needed for it.
    One,
}

/// Consent that a change wants.
struct Consent {
    /// People any one of whom may give it.
    approvers: Vec<UserName>,
    /// The points that it is about.
    findings: Vec<Finding>,
}

/// Findings in one ref of a push.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    /// The texts that the findings point into, by path.
    sources: HashMap<String, String>,
}

impl Found {
    fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Judges a push, all of its refs together: git accepts or refuses them as one.
pub fn judge(repo: &mut StateRepo, updates: &[Update], asker: Asker<'_>) -> Result<Judgement, HookError> {
    judge_seen(repo, updates, asker, None)
}

/// The same for a push whose commits were made again: what is told is told as whoever pushes sees it.
pub fn judge_seen(
    repo: &mut StateRepo,
    updates: &[Update],
    asker: Asker<'_>,
    seen: Option<&Seen>,
) -> Result<Judgement, HookError> {
    let git_dir = repo.git_dir();
    let history =
        seen.map_or_else(|| History::of_push(git_dir), |seen| History::beside(git_dir, &seen.objects));
    let mut push = Push::new(repo, history, asker);
    push.seen = seen;
    for update in updates {
        match update.reference.as_str() {
            MAIN => push.main(update)?,
            name if name.starts_with(PROPOSALS) => push.proposal(update)?,
            _ => push.another(update)?,
        }
        let found = std::mem::take(&mut push.found);
        push.before.push(found);
    }
    Ok(push.end())
}

impl<'a> Push<'a> {
    fn new(repo: &'a mut StateRepo, history: History, asker: Asker<'a>) -> Self {
        let (talk, notes) = (String::new(), String::new());
        let (before, found) = (Vec::new(), Found::default());
        Self {
            repo,
            history,
            asker,
            before,
            found,
            talk,
            notes,
            seen: None,
            advice: "",
            searched: Searched::Push,
            consent: None,
            from: None,
            unconfirmed: Vec::new(),
            plan: None,
        }
    }

    /// Any other ref: nobody works towards it, but it is history all the same.
    fn another(&mut self, update: &Update) -> Result<(), HookError> {
        let name = update.reference.as_str();
        if !self.may_move_any_ref()? {
            let hint = "`git push origin HEAD:main`, or `git push origin HEAD:review/<topic>`";
            self.refuse(name, refusals::not_a_branch(name, hint));
            return Ok(());
        }
        if self.asker.user.is_some() && KEPT.iter().any(|kept| name.starts_with(kept)) {
            let message = format!("`{name}` is kept by Berth itself");
            self.refuse_ref(name, &message, "push branches and tags");
            return Ok(());
        }
        let Some(new) = &update.new else {
            self.talk.push_str(&format!(
                "{name} is gone. Nothing was applied from it, so nothing else changes.\n"
            ));
            return Ok(());
        };
        // Git's own refusal would hold for proposals too, which may be pushed anew.
        if let Some(old) = &update.old
            && !self.is_ancestor(old, new)?
        {
            let message = format!("`{name}` can't be rewritten: history only grows");
            self.refuse_ref(name, &message, "push under another name, or delete this one first");
            return Ok(());
        }
        if let Some(invalid) = spelling::of_reference(name).or_else(|| refusals::in_the_way(name)) {
            self.refuse(name, invalid);
            return Ok(());
        }
        if !self.leads_to_commit(new)? {
            self.refuse(name, refusals::no_commit(name));
            return Ok(());
        }
        self.talk.push_str(&format!("{name} isn't main, so nothing of it is applied.\n"));
        if !self.is_measured(new, &Range::NewToRepository)? {
            return Ok(());
        }
        self.search_history(new, &Range::NewToRepository)
    }

    fn may_move_any_ref(&mut self) -> Result<bool, HookError> {
        if self.asker.user.is_none() {
            return Ok(true);
        }
        let Some(head) = self.head()? else { return Ok(false) };
        let loaded = self.load(&head)?;
        Ok(loaded.state.as_ref().is_ok_and(|state| self.asker.is_admin(state)))
    }

    fn is_ancestor(&self, old: &Revision, new: &Revision) -> Result<bool, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.is_ancestor(old, new).map_err(|source| HookError::Read { path, source })
    }

    fn leads_to_commit(&self, object: &Revision) -> Result<bool, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.leads_to_commit(object).map_err(|source| HookError::Read { path, source })
    }

    fn head(&self) -> Result<Option<Revision>, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.head().map_err(|source| HookError::Read { path, source })
    }

    fn load(&mut self, revision: &Revision) -> Result<Loaded, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.load(revision).map_err(|source| HookError::Read { path, source })
    }

    /// Reads what a change of `base` comes to.
    fn load_change(&mut self, base: &Revision, revision: &Revision) -> Result<Loaded, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.load_change(base, revision).map_err(|source| HookError::Read { path, source })
    }

    /// Returns whether the new commits are within bounds, so that they can be read; tells why not.
    fn is_measured(&mut self, new: &Revision, range: &Range) -> Result<bool, HookError> {
        let commits = self.history.new_up_to(new, range)?;
        let excess = self.repo.excess(&commits);
        let path = self.repo.git_dir().to_owned();
        if let Some(excess) = excess.map_err(|source| HookError::Read { path, source })? {
            self.refuse("the commits", excess.in_words());
            return Ok(false);
        }
        self.judge_names(&commits)?;
        Ok(true)
    }

    /// Refuses names that commits bring in and that not every system can hold.
    fn judge_names(&mut self, commits: &[Revision]) -> Result<(), HookError> {
        let path = self.repo.git_dir().to_owned();
        let names = self.repo.bad_names(commits).map_err(|source| HookError::Read { path, source })?;
        self.found.findings.extend(names.into_iter().map(|(commit, name)| match self.searched {
            // Nobody has that commit, so the file can still be called anything.
            Searched::One => Finding::new(Severity::Error, name.path, None, name.invalid),
            Searched::Push => spelling::of_name(&commit, name),
        }));
        Ok(())
    }

    fn refuse_ref(&mut self, reference: &str, message: &str, hint: &str) {
        self.refuse(reference, Invalid::new(message, hint));
    }

    fn refuse(&mut self, reference: &str, invalid: Invalid) {
        self.found.findings.push(Finding::new(Severity::Error, reference, None, invalid));
    }

    fn end(self) -> Judgement {
        let accepted = !self.before.iter().any(Found::is_refused);
        let mut text = String::new();
        let mut told: Vec<Finding> = Vec::new();
        // A plan follows where it is accepted.
        let room = if accepted { LINES / 2 } else { LINES };
        let refs = self.before.iter().filter(|found| !found.findings.is_empty()).count().max(1);
        let lines = (room.saturating_sub(4) / refs).max(LEAST);
        let extent = Extent::Brief { lines, whole: ALL_FOUND };
        for Found { mut findings, mut sources } in self.before {
            if let Some(seen) = self.seen {
                seen.place(&mut findings, &mut sources);
            }
            findings.sort();
            findings.dedup();
            // What was found in a commit that two refs lead to is told once.
            findings.retain(|finding| told.binary_search(finding).is_err());
            let source = |path: &str| sources.get(path).map(String::as_str);
            text.push_str(&report_of(&findings, source, self.asker.look, extent));
            told.append(&mut findings);
            told.sort();
        }
        text.push_str(&self.notes);
        if accepted {
            text.push_str(&self.talk);
        } else {
            text.push_str("Refused; nothing was changed.\n");
            text.push_str(self.advice);
        }
        let text = self.seen.map_or_else(|| text.clone(), |seen| seen.say(&text));
        Judgement { accepted, text }
    }
}
