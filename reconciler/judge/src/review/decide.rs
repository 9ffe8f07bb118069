//! Decisions on proposals: each ends merged or closed. Whoever may not decide so, or can't, is told why.

use std::net::SocketAddr;

use berth_host::critical;
use berth_plan::diff::ALLOW_REMOVALS;
use berth_repo::{Combined, Error, Revision, Signature, StateRepo, Words};
use berth_schema::door::Topic;
use berth_schema::policy::{ALLOW_LOCKOUT, Actor};
use berth_schema::text::{any_of, safe, steers};
use berth_schema::{Finding, State};

use super::assess::{Assessment, Assessor, Fit, Need};
use super::hidden::Member;
use super::proposals::{self, Proposal, failed};
use super::tell::refusal;
use super::{Approval, ReviewError};
use crate::line::{Line, NoTurn};

/// The least digits of a revision that name it.
const DIGITS: usize = 7;
/// Attempts at a merge. Each one after the first means that somebody moved `main` meanwhile without a turn.
const ATTEMPTS: usize = 5;

/// Result of an attempt to end a proposal.
pub(crate) enum Decided {
    /// `main` is at this revision now; the assessment is the one that allowed the merge.
    Merged(Revision, Box<Assessment>),
    /// Its tip is kept under this name.
    Closed(String),
    /// It stays as it is until whoever decides says that they know what they lose by it. Never empty.
    Unconfirmed(Vec<Finding>),
    /// It stays as it is, since it doesn't merge any more: this says why.
    Conflicts(String),
    /// It stays as it is, for this reason.
    Not(String),
}

/// Returns the name and address under which a commit names the actor.
pub fn signature(actor: Actor<'_>, state: Option<&State>) -> Signature {
    match actor.name() {
        None => Signature::now("Berth", "berth@localhost"),
        Some(name) => {
            // Commits are everybody's to read, and the address in somebody's file isn't.
            let domain = state.map_or("localhost", |state| state.platform.domain.as_str());
            Signature::now(name.as_str(), format!("{name}@{domain}"))
        }
    }
}

/// Tells whether the actor may read a proposal: its author may, the admins, and whoever has the repository's files.
fn may_see(actor: Actor<'_>, state: Option<&State>, proposal: &Proposal) -> bool {
    let is_author = actor.name().is_some_and(|name| proposal.author.as_ref() == Some(name));
    // Whoever has the files sees it while no state is good, too.
    is_author || actor == Actor::Operator || state.is_some_and(|state| actor.is_admin(state))
}

/// Finds the revision by whose digits somebody names a proposal that they looked at, or says why it isn't that one. The digits are
/// compared with the proposal's alone: what else the repository holds isn't everybody's to know.
pub fn looked_at(
    repo: &StateRepo,
    actor: Actor<'_>,
    topic: &Topic,
    digits: &str,
) -> Result<Result<Revision, String>, ReviewError> {
    let assessor = Assessor::new(repo, None)?;
    let Some(Proposal { tip, .. }) = seen(repo, actor, &assessor, topic)? else {
        return Ok(Err(missing(topic)));
    };
    let is_it = digits.len() >= DIGITS && tip.to_string().starts_with(&digits.to_ascii_lowercase());
    Ok(if is_it { Ok(tip) } else { Err(moved(topic, &tip, digits)) })
}

fn moved(topic: &Topic, tip: &Revision, not: &str) -> String {
    format!(
        "review/{topic} is at {} by now, and not at {}: look at it again with `review show {topic}`",
        tip.short(),
        safe(not)
    )
}

/// Merges a proposal in the name of somebody who agrees to it, or of its author where it needs nobody's consent.
pub(crate) fn approve(
    repo: &StateRepo,
    actor: Actor<'_>,
    Approval { topic, at, allowance, from, knows }: &Approval,
    resolver: Option<SocketAddr>,
    line: Line,
) -> Result<Decided, ReviewError> {
    let _turn = match line.to_main(repo.git_dir()) {
        Ok(turn) => turn,
        Err(crowded @ NoTurn::Crowded { .. }) => return Ok(Decided::Not(format!("{crowded}: try again"))),
        Err(NoTurn::Repo(source)) => return Err(failed(repo, source)),
    };
    for _ in 0..ATTEMPTS {
        let mut assessor = Assessor::new(repo, resolver)?.allowing(allowance.as_deref());
        let Some(proposal) = seen(repo, actor, &assessor, topic)? else {
            return Ok(Decided::Not(missing(topic)));
        };
        if let Some(at) = at.filter(|at| *at != proposal.tip) {
            return Ok(Decided::Not(moved(topic, &proposal.tip, &at.short())));
        }
        let assessment = assessor.assess(&proposal.tip, proposal.author.as_ref())?;
        if let Some(why) = objection(actor, &proposal, &assessment) {
            return Ok(match assessment.fit {
                Fit::Conflicts { .. } => Decided::Conflicts(why),
                Fit::Clean | Fit::Landed => Decided::Not(why),
            });
        }
        let is_author = actor.name().is_some_and(|name| proposal.author.as_ref() == Some(name));
        if is_author && allowance.is_some() {
            return Ok(Decided::Not(not_to_lift(topic)));
        }
        let lockouts = assessment.lockouts(actor, *from);
        if !lockouts.is_empty() && !knows {
            return Ok(Decided::Unconfirmed(lockouts));
        }
        let by = signature(actor, assessor.state());
        let knows = !lockouts.is_empty();
        let how = match is_author {
            true => How::Own { knows },
            false => How::Approved { allowance: allowance.as_deref(), knows },
        };
        if let Some(merged) = merge(repo, &assessor.main(), &proposal, &by, how)? {
            return Ok(Decided::Merged(merged, Box::new(assessment)));
        }
    }
    Ok(Decided::Not(format!("main moves too fast to merge review/{topic} into it: try again")))
}

/// Outcome of an attempt to merge a proposal of its author's own.
pub(super) enum Own {
    /// `main` is at this revision now.
    Merged(Revision),
    /// Somebody has to decide, or it doesn't merge.
    Waits,
    /// It would merge, but it wasn't its turn, for this reason.
    Unmerged(String),
}

/// Merges a proposal of its author's own, when that is what it is.
pub(super) fn merge_own(
    repo: &StateRepo,
    topic: &Topic,
    resolver: Option<SocketAddr>,
    line: Line,
) -> Result<Own, ReviewError> {
    let _turn = match line.to_main(repo.git_dir()) {
        Ok(turn) => turn,
        Err(crowded @ NoTurn::Crowded { .. }) => return Ok(Own::Unmerged(crowded.to_string())),
        Err(NoTurn::Repo(source)) => return Err(failed(repo, source)),
    };
    for _ in 0..ATTEMPTS {
        let mut assessor = Assessor::new(repo, resolver)?;
        let Some(proposal) = proposals::find(repo, topic)? else { return Ok(Own::Waits) };
        let Some(author) = &proposal.author else { return Ok(Own::Waits) };
        let assessment = assessor.assess(&proposal.tip, Some(author))?;
        if (&assessment.fit, &assessment.need) != (&Fit::Clean, &Need::Own) {
            return Ok(Own::Waits);
        }
        let by = signature(Actor::Member(author), assessor.state());
        if let Some(merged) = merge(repo, &assessor.main(), &proposal, &by, How::Own { knows: false })? {
            return Ok(Own::Merged(merged));
        }
    }
    Ok(Own::Unmerged("main moves too fast".to_owned()))
}

/// Closes a proposal without merging it.
pub(crate) fn reject(
    repo: &StateRepo,
    actor: Actor<'_>,
    topic: &Topic,
    reason: Option<&str>,
) -> Result<Decided, ReviewError> {
    let assessor = Assessor::new(repo, None)?;
    let Some(proposal) = seen(repo, actor, &assessor, topic)? else {
        return Ok(Decided::Not(missing(topic)));
    };
    let by = signature(actor, assessor.state());
    let why = reason.map(str::trim).filter(|reason| !reason.is_empty()).unwrap_or("no reason was given");
    let _section = critical::enter();
    let name = proposals::keep(repo, topic, proposal.tip, by, why)?;
    match proposals::remove(repo, topic, &proposal.tip)? {
        true => Ok(Decided::Closed(name)),
        false => {
            repo.remove_reference(&name, &proposal.tip).map_err(|source| failed(repo, source))?;
            Ok(Decided::Not(format!(
                "review/{topic} moved meanwhile: look at it again with `review show {topic}`"
            )))
        }
    }
}

/// Finds all proposals that the actor may see, and looks at each.
pub(crate) fn all_seen(
    repo: &StateRepo,
    actor: Actor<'_>,
    resolver: Option<SocketAddr>,
) -> Result<Vec<(Proposal, Assessment)>, ReviewError> {
    let mut every = proposals::all(repo)?;
    // Mostly there is none, and then nobody needs a place to try them out.
    if every.is_empty() {
        return Ok(Vec::new());
    }
    let assessor = Assessor::new(repo, resolver)?;
    every.retain(|proposal| may_see(actor, assessor.state(), proposal));
    let member = Member::of(actor, assessor.state());
    let mut assessed = assessor.assess_all(&every)?;
    if let Some(member) = member {
        assessed.iter_mut().for_each(|assessment| assessment.hide_from(member));
    }
    Ok(every.into_iter().zip(assessed).collect())
}

/// Finds the proposal, if there is one that the actor may see.
pub(crate) fn seen(
    repo: &StateRepo,
    actor: Actor<'_>,
    assessor: &Assessor<'_>,
    topic: &Topic,
) -> Result<Option<Proposal>, ReviewError> {
    let found = proposals::find(repo, topic)?;
    Ok(found.filter(|proposal| may_see(actor, assessor.state(), proposal)))
}

fn not_to_lift(topic: &Topic) -> String {
    format!(
        "review/{topic} is your own, and the removal budget isn't its author's to lift: leave `--allow-removals` away, and an admin lifts \
         the budget after the merge"
    )
}

pub(super) fn missing(topic: &Topic) -> String {
    format!("there is no proposal review/{topic} that you may see: `review list` shows those that there are")
}

/// Returns the reason why the actor can't merge a proposal as it is; `None` if they can.
pub(crate) fn objection(actor: Actor<'_>, proposal: &Proposal, assessment: &Assessment) -> Option<String> {
    let topic = &proposal.topic;
    let is_author = actor.name().is_some_and(|name| proposal.author.as_ref() == Some(name));
    // Theirs to finish, where the push was cut off before it merged.
    if is_author && assessment.need != Need::Own {
        let others = match &assessment.need {
            Need::NeedsReview { approvers } => any_of(approvers),
            _ => any_of::<&str>([]),
        };
        return Some(format!("review/{topic} is your own, and somebody else has to agree to it: {others}"));
    }
    match &assessment.fit {
        Fit::Clean => {}
        Fit::Landed => {
            return Some(format!(
                "main has everything of review/{topic} already: close it with `review reject {topic}`"
            ));
        }
        Fit::Conflicts { files } => {
            return Some(format!(
                "review/{topic} doesn't merge any more: main changed {} as well. {} has to put it on top of main: \
                 `git fetch origin && git rebase origin/main`, then `git push --force origin HEAD:review/{topic}`",
                files.join(", "),
                proposal
                    .author
                    .as_ref()
                    .map_or_else(|| "Whoever opened it".to_owned(), |author| format!("`{author}`")),
            ));
        }
    }
    match (&assessment.need, actor) {
        (Need::Refused, _) => Some(refusal(topic, assessment)),
        (Need::Own, _) | (Need::NeedsReview { .. }, Actor::Operator) => None,
        (Need::NeedsReview { approvers }, Actor::Member(name)) => (!approvers.contains(name))
            .then(|| format!("`{name}` can't agree to review/{topic}; {} may", any_of(approvers))),
        (Need::NeedsReview { .. }, Actor::AsMember(name)) => Some(format!(
            "`{name}` can't agree to review/{topic} by a token without the scope `admin`: make one that has it, in the panel under \
             Account, or agree there"
        )),
    }
}

/// Consent behind a merge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How<'a> {
    /// Somebody agreed, lifted the removal budget if there is an allowance, and perhaps knows what they lose themselves.
    Approved { allowance: Option<&'a str>, knows: bool },
    /// The change is its author's own and needs nobody's. They perhaps know what they lose.
    Own { knows: bool },
}

/// Makes the merge the tip of `main` if that is still at `main`, and takes the proposal away; `None` when it moved.
fn merge(
    repo: &StateRepo,
    main: &Revision,
    proposal: &Proposal,
    by: &Signature,
    how: How<'_>,
) -> Result<Option<Revision>, ReviewError> {
    let error = |source| failed(repo, source);
    let forward = how == How::Own { knows: false } && repo.is_ancestor(main, &proposal.tip).map_err(error)?;
    let merged = if forward {
        proposal.tip
    } else {
        let message = message(repo, proposal, by, how)?;
        let words = Words { author: by, committer: by, message: &message };
        match repo.merge(main, &proposal.tip, &words).map_err(error)? {
            Combined::Clean(merged) => merged,
            // The scratch repository merged the same two commits a moment ago.
            Combined::Conflicts(_) => return Ok(None),
        }
    };
    let _section = critical::enter();
    match repo.advance(main, &merged, &format!("berth review: {}", proposal.topic)) {
        Ok(()) => {}
        Err(Error::Moved { .. }) => return Ok(None),
        Err(source) => return Err(error(source)),
    }
    // A proposal that got further commits meanwhile stays open with those.
    proposals::remove(repo, &proposal.topic, &proposal.tip)?;
    Ok(Some(merged))
}

/// Writes the message of the merge. It takes only the first line of the proposal's own message, since the removal budget
/// isn't its author's to lift.
fn message(
    repo: &StateRepo,
    proposal: &Proposal,
    by: &Signature,
    how: How<'_>,
) -> Result<String, ReviewError> {
    let tip = repo.commit_info(&proposal.tip).map_err(|source| failed(repo, source))?;
    // A proposal that came in around the door may have any first line, and the merge is in the log for ever.
    let first = if tip.summary.contains(steers) { safe(&tip.summary) } else { tip.summary };
    let mut message = format!("Merge review/{}: {first}\n\n", proposal.topic);
    if let Some(author) = &proposal.author {
        message.push_str(&format!("Proposed-by: {author}\n"));
    }
    let (allowance, knows) = match how {
        How::Approved { allowance, knows } => (allowance, knows),
        How::Own { knows } => (None, knows),
    };
    // Read at the tip of main, which the merge becomes.
    if let Some(hash) = allowance {
        message.push_str(&format!("{ALLOW_REMOVALS}: {hash}\n"));
    }
    if knows {
        message.push_str(&format!("{ALLOW_LOCKOUT}: {}\n", by.name));
    }
    if let How::Approved { .. } = how {
        message.push_str(&format!("Reviewed-by: {} <{}>\n", by.name, by.email));
    }
    Ok(message)
}
