//! What a proposal comes to: whether it still merges, whether the result is good, who has to agree, and what it would
//! change. Nothing of this is remembered: `main` moves, and with it every answer.

use std::collections::HashMap;
use std::net::SocketAddr;

use berth_plan::Plan;
use berth_repo::{Combined, CommitInfo, FileChange, Loaded, Revision, Scratch, Signature, StateRepo, Words};
use berth_schema::name::{Invalid, UserName};
use berth_schema::policy::{self, Actor, Verdict};
use berth_schema::{Finding, Severity, State};
use serde::Serialize;

use super::ReviewError;
use super::proposals::failed;
use crate::hook::{Asked, Case, History, Proven, Resolvers, between};
use crate::source::allowance;

/// Commits of a proposal that are shown.
const COMMITS_SHOWN: usize = 50;

/// Looks at proposals against one tip of `main`.
pub struct Assessor<'r> {
    repo: &'r StateRepo,
    scratch: Scratch,
    main: Revision,
    before: Loaded,
    /// That of the state repo.
    history: History,
    /// The removals that whoever approves allows beyond the budget.
    allowance: Option<String>,
    /// The resolver that is asked for proofs, in place of the platform's.
    resolver: Option<SocketAddr>,
    /// Those that are asked, from the first question on: they share one deadline, however many proposals there are.
    resolvers: Option<Resolvers>,
}

/// What a proposal comes to.
pub struct Assessment {
    /// Where it parted from `main`; `None` when it never was one with it.
    pub base: Option<Revision>,
    /// Whether it merges.
    pub fit: Fit,
    /// What becomes of it.
    pub standing: Standing,
    /// What is wrong with it, or has to be agreed to.
    pub findings: Vec<Finding>,
    /// The texts that the findings point into, by path.
    pub sources: HashMap<String, String>,
    /// What it would change on the engine, or why that can't be said.
    pub plan: Result<Plan, String>,
    /// The files that it changes.
    pub files: Vec<FileChange>,
    /// Its commits, the youngest first.
    pub commits: Vec<CommitInfo>,
    /// Why some proofs could not be looked for, with a line break at its end, or nothing.
    pub note: String,
}

/// Whether a proposal merges into `main`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fit")]
pub enum Fit {
    /// It does.
    Clean,
    /// `main` has it already.
    Landed,
    /// These files were changed there as well.
    Conflicts {
        /// Their paths.
        files: Vec<String>,
    },
}

/// What becomes of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Standing {
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

impl Standing {
    /// In a word or two.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Own => "allowed",
            Self::NeedsReview { .. } => "needs review",
            Self::Refused => "refused",
        }
    }
}

impl<'r> Assessor<'r> {
    /// Against the tip of `main` as it is now. `resolver` is asked whose names are, in place of the platform's.
    pub fn new(repo: &'r StateRepo, resolver: Option<SocketAddr>) -> Result<Self, ReviewError> {
        let error = |source| failed(repo, source);
        let main = repo.head().map_err(error)?;
        let main = main.ok_or_else(|| ReviewError::Empty { path: repo.git_dir().to_owned() })?;
        let mut scratch = repo.scratch().map_err(error)?;
        let before = scratch.repo.load(&main).map_err(error)?;
        let history = History::of(repo.git_dir());
        Ok(Self { repo, scratch, main, before, history, allowance: None, resolver, resolvers: None })
    }

    /// Asks this history whose an id was, which sees the objects of a push that is being judged.
    pub(crate) fn reading(self, history: History) -> Self {
        Self { history, ..self }
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

    /// Tries to take back what a revision changed. Only [`Assessor::assess`] can look at what comes of it.
    pub(crate) fn revert(&self, revision: &Revision, words: &Words<'_>) -> Result<Combined, ReviewError> {
        let tried = self.scratch.repo.revert(revision, &self.main, words);
        tried.map_err(|source| failed(self.repo, source))
    }

    /// What the proposal that ends at `tip` comes to.
    pub fn assess(&mut self, tip: &Revision, author: Option<&UserName>) -> Result<Assessment, ReviewError> {
        let (repo, main) = (self.repo, self.main);
        let error = |source| failed(repo, source);
        // Asked of the scratch repository throughout: the objects of a push that is being judged are nowhere else.
        let scratch = &mut self.scratch.repo;
        let base = scratch.merge_base(&main, tip).map_err(error)?;
        let mut assessment = Assessment {
            base,
            fit: Fit::Clean,
            standing: Standing::Refused,
            findings: Vec::new(),
            sources: HashMap::new(),
            plan: Err("it has mistakes".to_owned()),
            files: Vec::new(),
            commits: scratch.commits(tip, Some(&main), COMMITS_SHOWN).map_err(error)?,
            note: String::new(),
        };
        let Some(base) = base else {
            let message = "the proposal has no commit in common with main";
            assessment
                .refuse(message, "begin from main: `git fetch origin && git switch -c <topic> origin/main`");
            return Ok(assessment);
        };
        let before = self.before.state.clone().ok();
        // Whoever has the repository's files may mend it, and has to.
        if before.is_none() && author.is_some() {
            let message = "main holds no good state, so nobody can tell what is whose";
            assessment.refuse(
                message,
                "whoever runs the platform has to mend it first, from the machine that it is on",
            );
            return Ok(assessment);
        }
        if let Some(remote) = before.as_ref().and_then(|state| state.platform.remote.as_ref()) {
            assessment.refuse(&remote.in_charge(), "propose it there: nothing is merged here");
            assessment.plan = Err("main follows a forge".to_owned());
            return Ok(assessment);
        }
        if base == *tip {
            assessment.fit = Fit::Landed;
        }
        let nobody = Signature::at("Berth", "berth@localhost", 0);
        let words = Words { author: &nobody, committer: &nobody, message: "a merge to look at\n" };
        let (old, new, before) = match scratch.merge(&main, tip, &words).map_err(error)? {
            Combined::Clean(merged) => (main, merged, before),
            Combined::Conflicts(files) => {
                // What it would be if `main` had not moved: enough to read, not enough to merge.
                assessment.fit = Fit::Conflicts { files };
                let then = scratch.load(&base).map_err(error)?.state;
                (base, *tip, then.ok().or(before))
            }
        };
        let after = scratch.load(&new).map_err(error)?;
        assessment.files = scratch.stat(&old, &new).map_err(error)?;
        for finding in after.findings() {
            if let Some(source) = after.source(&finding.path) {
                assessment.sources.insert(finding.path.to_string(), source.to_owned());
            }
        }
        assessment.findings.extend_from_slice(after.findings());
        let Ok(after) = &after.state else { return Ok(assessment) };
        let Some(before) = before else {
            assessment.standing = Standing::NeedsReview { approvers: Vec::new() };
            assessment.plan = Err("what was there before has mistakes".to_owned());
            return Ok(assessment);
        };
        let proven = match author {
            Some(author) => {
                let resolvers = self.resolvers.get_or_insert_with(|| Resolvers::of(self.resolver, &before));
                resolvers.prove(author, &before, after)
            }
            None => Proven::default(),
        };
        let lifted = allowance(scratch, tip).map_err(error)?;
        let asked = Asked {
            actor: author.map_or(Actor::Operator, Actor::Member),
            repo: scratch,
            history: &self.history,
            main,
            old,
            new,
            before: &before,
            after,
            proven: &proven,
            allowance: lifted.as_deref(),
        };
        let paths = assessment.files.iter().map(|file| file.path.clone()).collect();
        assessment.judge(Case::gather(asked, paths)?, author, &before);
        assessment.note = proven.note;
        assessment.plan = between(Some(&before), after, &new, self.allowance.as_deref());
        Ok(assessment)
    }
}

impl Assessment {
    fn judge(&mut self, case: Case<'_>, author: Option<&UserName>, before: &State) {
        let not_the_author = |approvers: Vec<UserName>| {
            approvers.into_iter().filter(|approver| Some(approver) != author).collect()
        };
        let (standing, findings) = match case.judge() {
            (Verdict::Allow, true) => (Standing::Own, Vec::new()),
            // An admin who proposes instead of pushing wants somebody else to look.
            (Verdict::Allow, false) => {
                (Standing::NeedsReview { approvers: not_the_author(policy::admins(before)) }, Vec::new())
            }
            (Verdict::NeedsReview { findings, approvers }, _) => {
                (Standing::NeedsReview { approvers: not_the_author(approvers) }, findings)
            }
            (Verdict::Deny(findings), _) => (Standing::Refused, findings),
        };
        self.standing = standing;
        self.findings.extend(findings);
        self.findings.sort();
        self.findings.dedup();
        for (path, text) in case.into_texts() {
            self.sources.entry(path).or_insert(text);
        }
    }

    fn refuse(&mut self, message: &str, hint: &str) {
        self.findings.push(Finding::new(Severity::Error, "review", None, Invalid::new(message, hint)));
    }
}
