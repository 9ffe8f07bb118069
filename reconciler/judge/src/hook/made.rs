//! A commit that Berth makes itself, on top of `main` and in somebody's name, judged as a push of it would be.

use std::collections::HashMap;

use berth_plan::Plan;
use berth_repo::{Revision, StateRepo};
use berth_schema::name::UserName;
use berth_schema::{Finding, Severity};

use super::seen::hide_from;
use super::{Asker, HookError, Push, Searched};
use crate::history::History;
use crate::pages::Pages;

/// The verdict on such a commit.
pub(crate) struct Made {
    /// Everything that a push would be told, sorted by place. What needs somebody's consent is a warning.
    pub(crate) findings: Vec<Finding>,
    /// People any one of whom has to agree; `None` where nobody has to.
    pub(crate) approvers: Option<Vec<UserName>>,
    /// Lockouts of whoever makes it, unless its message says that they know.
    pub(crate) unconfirmed: Vec<Finding>,
    /// The plan, if there is one.
    pub(crate) plan: Option<Plan>,
    /// The plan in words, or why there is none; empty where something forbids the commit.
    pub(crate) told: String,
    /// Reasons that some proofs could not be looked for, with a line break at its end, or nothing.
    pub(crate) notes: String,
}

impl Made {
    /// Returns whether something forbids the commit.
    pub(crate) fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Judges `new`, whose parent is `old`. `repo` knows both.
pub(crate) fn judge_made(
    repo: &mut StateRepo,
    old: &Revision,
    new: &Revision,
    asker: Asker<'_>,
) -> Result<Made, HookError> {
    let history = History::of(repo.git_dir());
    let mut push = Push::new(repo, history, asker);
    push.searched = Searched::One;
    push.judge_names(&[*new])?;
    let (before, after) = push.weigh(Some(old), new)?;
    let approvers = push.consent.take().map(|consent| {
        push.found.findings.extend(consent.findings);
        consent.approvers
    });
    if let (Ok(after), false) = (&after.state, push.found.is_refused()) {
        push.show_plan(new, before.as_ref(), after)?;
    }
    let mut findings = push.found.findings;
    let good = before.as_ref().and_then(|before| before.state.as_ref().ok());
    let is_admin = good.is_some_and(|before| push.asker.is_admin(before));
    if let (Some(user), false) = (push.asker.user, is_admin) {
        hide_from(user, Pages::of_members(good.map(|good| &**good)), &mut findings, &mut HashMap::new());
    }
    findings.sort();
    findings.dedup();
    let Push { unconfirmed, plan, talk: told, notes, .. } = push;
    Ok(Made { findings, approvers, unconfirmed, plan, told, notes })
}
