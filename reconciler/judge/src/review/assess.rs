//! An assessment of a proposal: whether it still merges, whether the result is good, who has to agree, and what it would
//! change. Nothing of this is remembered: `main` moves, and with it every answer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{iter, thread};

use berth_plan::Plan;
use berth_repo::{
    Combined, CommitInfo, Edit, FileChange, Loaded, Revision, Scratch, Signature, StateRepo, Words,
};
use berth_schema::name::{Invalid, UserName};
use berth_schema::policy::{self, Actor, Verdict};
use berth_schema::{Finding, Severity, State};
use serde::Serialize;

use super::ReviewError;
use super::proposals::{Proposal, failed};
use crate::case::{Allowed, Asked, Case};
use crate::planned::between;
use crate::proofs::{Proven, Resolvers};
use crate::refusals;

/// Commits of a proposal that are shown.
const COMMITS_SHOWN: usize = 50;
/// Reason for no plan of a state that isn't good, as a clause.
const MISTAKES: &str = "it has mistakes";
/// Reason for no plan of a proposal in a list, as a clause.
const UNPLANNED: &str = "a list tells no plans";

/// Looks at proposals against one tip of `main`.
pub struct Assessor<'r> {
    repo: &'r StateRepo,
    scratch: Scratch,
    main: Revision,
    before: Loaded,
    /// The removals that whoever approves allows beyond the budget.
    allowance: Option<String>,
    /// The resolver that is asked for proofs, in place of the platform's.
    resolver: Option<SocketAddr>,
    /// Those that are asked, from the first question on: they share one deadline, however many proposals there are.
    resolvers: Option<Resolvers>,
}

/// Extent of a look at a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Its verdict, and the way it merges: a list says no more.
    Row,
    /// Everything.
    Whole,
}

/// Everything that there is to say about a proposal.
pub struct Assessment {
    /// The commit at which it parted from `main`; `None` when it never was one with it.
    pub base: Option<Revision>,
    /// The way it merges.
    pub fit: Fit,
    /// The consent that it needs.
    pub need: Need,
    /// Mistakes of it, and what has to be agreed to.
    pub findings: Vec<Finding>,
    /// The texts that the findings point into, by path.
    pub sources: HashMap<String, String>,
    /// The changes that it would make on the engine, or why they can't be told, as a clause.
    pub plan: Result<Plan, String>,
    /// The files that it changes.
    pub files: Vec<FileChange>,
    /// Its commits, the youngest first.
    pub commits: Vec<CommitInfo>,
    /// The revisions before and after it, in the assessor's own repository; `None` where it wasn't looked at.
    pub span: Option<(Revision, Revision)>,
    /// The states before and after it, where both are good.
    pub states: Option<(Arc<State>, Arc<State>)>,
    /// Reasons that some proofs could not be looked for, with a line break at its end, or nothing.
    pub note: String,
}

/// The way a proposal merges into `main`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fit")]
pub enum Fit {
    /// It merges without conflicts.
    Clean,
    /// `main` has it already.
    Landed,
    /// These files were changed there as well.
    Conflicts {
        /// Their paths.
        files: Vec<String>,
    },
}

/// The consent that a proposal needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Need {
    /// It touches only what is its author's own: it merges itself when it is pushed and merges cleanly.
    Own,
    /// Somebody has to agree.
    NeedsReview {
        /// Any one of these, or whoever has the repository's files.
        approvers: Vec<UserName>,
    },
    /// Nobody can agree to it: it has mistakes, or isn't its author's to ask for.
    Refused,
}

impl Need {
    /// Names the need in a word or two.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Own => "allowed",
            Self::NeedsReview { .. } => "needs review",
            Self::Refused => "refused",
        }
    }
}

impl<'r> Assessor<'r> {
    /// Returns an assessor against the tip of `main` as it is now. `resolver` is asked for the proofs of names, in place of
    /// the platform's.
    pub fn new(repo: &'r StateRepo, resolver: Option<SocketAddr>) -> Result<Self, ReviewError> {
        let error = |source| failed(repo, source);
        let main = repo.head().map_err(error)?;
        let main = main.ok_or_else(|| ReviewError::Empty { path: repo.git_dir().to_owned() })?;
        Self::at(repo, main, resolver)
    }

    /// Returns an assessor against this revision of `main`.
    fn at(repo: &'r StateRepo, main: Revision, resolver: Option<SocketAddr>) -> Result<Self, ReviewError> {
        let error = |source| failed(repo, source);
        let mut scratch = repo.scratch().map_err(error)?;
        let before = scratch.repo.load(&main).map_err(error)?;
        // Whoever opens the repository once more needn't read `main` again.
        repo.memory().learn_from(scratch.repo.memory());
        Ok(Self { repo, scratch, main, before, allowance: None, resolver, resolvers: None })
    }

    /// Plans with removals beyond the budget, which whoever approves allows. What a proposal itself says of that doesn't
    /// count: its message isn't that of the merge.
    pub(super) fn allowing(self, allowance: Option<&str>) -> Self {
        Self { allowance: allowance.map(str::to_owned), ..self }
    }

    /// The tip of `main` that everything is compared with.
    pub fn main(&self) -> Revision {
        self.main
    }

    /// The state there; `None` when it has mistakes.
    pub fn state(&self) -> Option<&State> {
        self.before.state.as_deref().ok()
    }

    /// The repository in which proposals are merged to be looked at.
    pub(crate) fn repo(&self) -> &StateRepo {
        &self.scratch.repo
    }

    /// Tries edits on top of `main`. Only [`Assessor::assess`] can look at what comes of them.
    pub fn tried(&self, edits: &[Edit], words: &Words<'_>) -> Result<Revision, ReviewError> {
        let tried = self.scratch.repo.write(Some(&self.main), edits, words);
        tried.map_err(|source| failed(self.repo, source))
    }

    /// Tries to take back what a revision changed. Only [`Assessor::assess`] can look at what comes of it.
    pub fn revert(&self, revision: &Revision, words: &Words<'_>) -> Result<Combined, ReviewError> {
        let tried = self.scratch.repo.revert(revision, &self.main, words);
        tried.map_err(|source| failed(self.repo, source))
    }

    /// Looks at all of these on all processors, and returns the assessments in their order, each as far as a list tells of it:
    /// the state is read once, and then what differs.
    pub(super) fn assess_all(mut self, proposals: &[Proposal]) -> Result<Vec<Assessment>, ReviewError> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(proposals.len());
        let (main, resolver) = (self.main, self.resolver);
        let again = || self.repo.again().map_err(|source| failed(self.repo, source));
        let repos = (1..threads).map(|_| again()).collect::<Result<Vec<_>, _>>()?;
        // One may take as long as all the others together.
        let next = AtomicUsize::new(0);
        let next = || {
            let place = next.fetch_add(1, Ordering::Relaxed);
            proposals.get(place).map(|proposal| (place, proposal))
        };
        let mut done = thread::scope(|scope| {
            let others = repos
                .into_iter()
                .map(|repo| scope.spawn(move || Assessor::at(&repo, main, resolver)?.assess_each(next)));
            let others: Vec<_> = others.collect();
            let mut done = self.assess_each(next)?;
            for other in others {
                match other.join() {
                    Ok(some) => done.extend(some?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok::<_, ReviewError>(done)
        })?;
        done.sort_unstable_by_key(|(place, _)| *place);
        Ok(done.into_iter().map(|(_, assessment)| assessment).collect())
    }

    /// Looks at the proposals that `next` gives out, each with its place, until there are no more.
    fn assess_each<'p>(
        &mut self,
        next: impl Fn() -> Option<(usize, &'p Proposal)>,
    ) -> Result<Vec<(usize, Assessment)>, ReviewError> {
        let assessed = |(place, proposal): (usize, &Proposal)| {
            Ok((place, self.look(&proposal.tip, proposal.author.as_ref(), Extent::Row)?))
        };
        iter::from_fn(next).map(assessed).collect()
    }

    /// Looks at the proposal that ends at `tip`.
    pub fn assess(&mut self, tip: &Revision, author: Option<&UserName>) -> Result<Assessment, ReviewError> {
        self.look(tip, author, Extent::Whole)
    }

    fn look(
        &mut self,
        tip: &Revision,
        author: Option<&UserName>,
        extent: Extent,
    ) -> Result<Assessment, ReviewError> {
        let (repo, main) = (self.repo, self.main);
        let error = |source| failed(repo, source);
        // What differs from `main` is all that is read of a proposal, whatever was looked at before.
        self.scratch.repo.load(&main).map_err(error)?;
        // Asked of the scratch repository throughout: the objects of a push that is being judged are nowhere else.
        let base = self.scratch.repo.merge_base(&main, tip).map_err(error)?;
        let commits = self.scratch.repo.commits(tip, Some(&main), COMMITS_SHOWN).map_err(error)?;
        let good = self.before.state.clone().ok();
        let base = match looked_at(base, good.as_deref(), author) {
            Ok(base) => base,
            Err(refused) => return Ok(Assessment::refused(base, commits, refused)),
        };
        let Merged { fit, old, new, before } = self.merged(&base, tip, good)?;
        let scratch = &mut self.scratch.repo;
        let after = scratch.load_change(&old, &new).map_err(error)?;
        let files = match extent {
            Extent::Whole => scratch.stat(&old, &new),
            Extent::Row => scratch.uncounted(&old, &new),
        };
        let files = files.map_err(error)?;
        let looked = Assessment {
            base: Some(base),
            fit,
            files,
            span: Some((old, new)),
            ..Assessment::of(&after, commits)
        };
        let Ok(after) = &after.state else { return Ok(looked) };
        let Some(before) = before else {
            let plan = Err("what was there before has mistakes".to_owned());
            return Ok(Assessment { need: Need::NeedsReview { approvers: Vec::new() }, plan, ..looked });
        };
        let proven = match author {
            Some(author) => {
                let resolvers = self.resolvers.get_or_insert_with(|| Resolvers::of(self.resolver, &before));
                resolvers.prove(Actor::Member(author), &before, after)
            }
            None => Proven::default(),
        };
        let allowed = Allowed::by(scratch, tip).map_err(error)?;
        let asked = Asked {
            actor: author.map_or(Actor::Operator, Actor::Member),
            repo: scratch,
            main,
            old,
            new,
            before: &before,
            after,
            proven: &proven,
            allowed: &allowed,
            // Whoever proposed it may be anywhere by now.
            from: None,
        };
        let case = Case::gather(asked, looked.files.iter().map(|file| file.path.clone()).collect())?;
        let (plan, states) = match extent {
            Extent::Whole => (
                between(Some(&before), after, &new, self.allowance.as_deref()),
                Some((Arc::clone(&before), Arc::clone(after))),
            ),
            Extent::Row => (Err(UNPLANNED.to_owned()), None),
        };
        let mut assessment = Assessment { plan, states, ..looked };
        assessment.judge(case, author, &before);
        if author.is_none() {
            assessment.findings.extend(policy::without_admins(Some(&before), after));
            assessment.findings.sort();
        }
        assessment.note = proven.note;
        Ok(assessment)
    }

    /// Merges the proposal into `main`, to look at what comes of it. `good` is the state of `main`, if it is good.
    fn merged(
        &mut self,
        base: &Revision,
        tip: &Revision,
        good: Option<Arc<State>>,
    ) -> Result<Merged, ReviewError> {
        let (repo, main) = (self.repo, self.main);
        let error = |source| failed(repo, source);
        let nobody = Signature::at("Berth", "berth@localhost", 0);
        let words = Words { author: &nobody, committer: &nobody, message: "a merge to look at\n" };
        match self.scratch.repo.merge(&main, tip, &words).map_err(error)? {
            Combined::Clean(new) => {
                let fit = if base == tip { Fit::Landed } else { Fit::Clean };
                Ok(Merged { fit, old: main, new, before: good })
            }
            Combined::Conflicts(files) => {
                // What it would be if `main` had not moved: enough to read, not enough to merge.
                let then = self.scratch.repo.load(base).map_err(error)?.state;
                let fit = Fit::Conflicts { files };
                Ok(Merged { fit, old: *base, new: *tip, before: then.ok().or(good) })
            }
        }
    }
}

/// A proposal merged into `main`, or as it is where it doesn't merge.
struct Merged {
    fit: Fit,
    old: Revision,
    new: Revision,
    /// The state at `old`, if it is good.
    before: Option<Arc<State>>,
}

/// A proposal that isn't even looked at.
struct Refused {
    why: Invalid,
    /// Reason for no plan, as a clause.
    unplanned: &'static str,
}

/// Checks that a proposal can be looked at, and returns where it parted from `main`.
fn looked_at(
    base: Option<Revision>,
    good: Option<&State>,
    author: Option<&UserName>,
) -> Result<Revision, Refused> {
    let refused = |why| Refused { why, unplanned: MISTAKES };
    let Some(base) = base else {
        return Err(refused(Invalid::new(
            "the proposal has no commit in common with main",
            "begin from main: `git fetch origin && git switch -c <topic> origin/main`",
        )));
    };
    // Whoever has the repository's files may mend it, and has to.
    if good.is_none() && author.is_some() {
        return Err(refused(refusals::no_good_state()));
    }
    if let Some(remote) = good.and_then(|state| state.platform.remote.as_ref()) {
        let why = Invalid::new(remote.in_charge(), "propose it there: nothing is merged here");
        return Err(Refused { why, unplanned: "main follows a forge" });
    }
    Ok(base)
}

impl Assessment {
    /// Assessment of a state, as long as nothing more is known than its mistakes.
    fn of(after: &Loaded, commits: Vec<CommitInfo>) -> Self {
        let texts = after
            .findings()
            .iter()
            .filter_map(|finding| Some((finding.path.to_string(), after.source(&finding.path)?.to_owned())));
        Self {
            base: None,
            fit: Fit::Clean,
            need: Need::Refused,
            findings: after.findings().to_vec(),
            sources: texts.collect(),
            plan: Err(MISTAKES.to_owned()),
            files: Vec::new(),
            commits,
            span: None,
            states: None,
            note: String::new(),
        }
    }

    fn refused(base: Option<Revision>, commits: Vec<CommitInfo>, refused: Refused) -> Self {
        Self {
            base,
            fit: Fit::Clean,
            need: Need::Refused,
            findings: vec![Finding::new(Severity::Error, "review", None, refused.why)],
            sources: HashMap::new(),
            plan: Err(refused.unplanned.to_owned()),
            files: Vec::new(),
            commits,
            span: None,
            states: None,
            note: String::new(),
        }
    }

    /// Lists what somebody who merges it loses by that, coming from this address.
    pub fn lockouts(&self, actor: Actor<'_>, from: Option<IpAddr>) -> Vec<Finding> {
        match (actor.name(), &self.states) {
            (Some(name), Some((before, after))) => policy::lockouts(name, from, before, after),
            _ => Vec::new(),
        }
    }

    fn judge(&mut self, case: Case<'_>, author: Option<&UserName>, before: &State) {
        let not_the_author = |approvers: Vec<UserName>| {
            approvers.into_iter().filter(|approver| Some(approver) != author).collect()
        };
        let (need, findings) = match case.judge() {
            (Verdict::Allow, true) => (Need::Own, Vec::new()),
            // An admin who proposes instead of pushing wants somebody else to look.
            (Verdict::Allow, false) => {
                (Need::NeedsReview { approvers: not_the_author(policy::admins(before)) }, Vec::new())
            }
            (Verdict::NeedsReview { findings, approvers }, _) => {
                (Need::NeedsReview { approvers: not_the_author(approvers) }, findings)
            }
            // It would merge itself, and nobody but its author would see what it takes from them.
            (Verdict::Unconfirmed(findings), true) => {
                (Need::Refused, findings.into_iter().map(Finding::into_error).collect())
            }
            (Verdict::Unconfirmed(findings), false) => {
                (Need::NeedsReview { approvers: not_the_author(policy::admins(before)) }, findings)
            }
            (Verdict::Deny(findings), _) => (Need::Refused, findings),
        };
        self.need = need;
        self.findings.extend(findings);
        self.findings.sort();
        self.findings.dedup();
        for (path, text) in case.into_texts() {
            self.sources.entry(path).or_insert(text);
        }
    }
}
