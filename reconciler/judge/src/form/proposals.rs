//! Proposals, as the panel shows them and decides on them. Somebody else's isn't there for a member.

use std::net::SocketAddr;

use berth_repo::StateRepo;
use berth_schema::brief::{Extent, LINES};
use berth_schema::door::Topic;
use berth_schema::report::Look;
use berth_schema::text::{safe, safe_line};
use berth_wire::web::{Approve, Decided, FieldFinding, ProposalCard, ProposalSheet, Reject};
use jiff::Timestamp;

use super::error::FormError;
use super::ground::Author;
use super::tell::{Sight, at_field, commit_line, diffs, losses};
use crate::review::{
    Approval, Assessment, Assessor, Decided as Ended, Member, Need, Proposal, all_seen, approve as agree,
    fit, objection, plan, reject as close, seen,
};

/// Longest reason that is kept, in characters.
const REASON: usize = 500;

/// All that somebody may read.
pub(super) fn all(
    repo: &StateRepo,
    author: Author<'_>,
    resolver: Option<SocketAddr>,
) -> Result<Vec<ProposalCard>, FormError> {
    let seen = all_seen(repo, author.actor(), resolver)?;
    Ok(seen.iter().map(|(proposal, assessment)| card(proposal, assessment)).collect())
}

/// One of them, whole.
pub(super) fn one(
    repo: &StateRepo,
    author: Author<'_>,
    topic: &str,
    resolver: Option<SocketAddr>,
) -> Result<ProposalSheet, FormError> {
    let topic = parse(topic)?;
    let (user, actor) = (author.name, author.actor());
    let mut assessor = Assessor::new(repo, resolver)?;
    let proposal = seen(repo, actor, &assessor, &topic)?.ok_or_else(missing)?;
    let mut assessment = assessor.assess(&proposal.tip, proposal.author.as_ref())?;
    let may_approve = objection(actor, &proposal, &assessment).is_none();
    let member = Member::of(actor, assessor.state());
    let sight = member.map_or(Sight::Whole, |member| Sight::Of(user, member.pages()));
    if let Some(member) = member {
        assessment.hide_from(member);
    }
    let failed = |source| FormError::Repo { path: repo.git_dir().to_owned(), source };
    let diffs = match &assessment.span {
        Some((old, new)) => diffs(assessor.repo(), &sight, old, new).map_err(failed)?,
        None => Vec::new(),
    };
    let approvers = match &assessment.need {
        Need::NeedsReview { approvers } => approvers.clone(),
        Need::Own | Need::Refused => Vec::new(),
    };
    let all = format!("`review show {topic} --all` shows everything");
    let extent = Extent::Brief { lines: LINES, whole: &all };
    let lockouts = if may_approve { assessment.lockouts(actor, author.from) } else { Vec::new() };
    let findings: Vec<FieldFinding> =
        assessment.findings.iter().map(|finding| at_field(finding, None)).collect();
    Ok(ProposalSheet {
        card: card(&proposal, &assessment),
        plan: format!("{}{}", assessment.note, plan(&assessment, Look::Plain, extent)),
        losses: assessment.plan.as_ref().map(|plan| losses(plan, |_| true)).unwrap_or_default(),
        commits: assessment.commits.into_iter().map(|commit| commit_line(commit, Vec::new())).collect(),
        findings,
        diffs,
        approvers,
        may_approve,
        shuts_out: lockouts.iter().map(|finding| safe(&finding.message)).collect(),
        // Whoever may see it is its author or an admin.
        may_reject: true,
    })
}

/// Merges one.
pub(super) fn approve(
    repo: &StateRepo,
    author: Author<'_>,
    approval: &Approve,
    resolver: Option<SocketAddr>,
) -> Result<Decided, FormError> {
    let topic = parse(&approval.topic)?;
    see(repo, author, &topic)?;
    let Approve { at, knows, .. } = *approval;
    let wanted = Approval { topic, at: Some(at), allowance: None, from: author.from, knows };
    match agree(repo, author.actor(), &wanted, resolver)? {
        Ended::Merged(revision, _) => {
            let message = format!("review/{} is merged: main is at {}", wanted.topic, revision.short());
            Ok(Decided { revision, message })
        }
        Ended::Unconfirmed(_) => {
            let message = "nothing is merged yet: this would shut you out".to_owned();
            Err(FormError::Refused { message, advice: Some("Say below that you know.".to_owned()) })
        }
        Ended::Conflicts(message) => Err(FormError::Conflicts { message }),
        Ended::Not(message) => Err(FormError::Refused { message, advice: None }),
        Ended::Closed(_) => Err(missing()),
    }
}

/// Closes one.
pub(super) fn reject(repo: &StateRepo, author: Author<'_>, reject: &Reject) -> Result<(), FormError> {
    let topic = parse(&reject.topic)?;
    see(repo, author, &topic)?;
    let reason = safe_line(&reject.reason, REASON);
    match close(repo, author.actor(), &topic, Some(&reason))? {
        Ended::Closed(_) | Ended::Merged(..) | Ended::Unconfirmed(_) => Ok(()),
        Ended::Conflicts(message) | Ended::Not(message) => Err(FormError::Refused { message, advice: None }),
    }
}

fn see(repo: &StateRepo, author: Author<'_>, topic: &Topic) -> Result<Proposal, FormError> {
    let assessor = Assessor::new(repo, None)?;
    seen(repo, author.actor(), &assessor, topic)?.ok_or_else(missing)
}

fn parse(topic: &str) -> Result<Topic, FormError> {
    topic.parse().map_err(|_| missing())
}

fn missing() -> FormError {
    FormError::NotFound { what: "such proposal".to_owned() }
}

fn card(proposal: &Proposal, assessment: &Assessment) -> ProposalCard {
    let newest = assessment.commits.first();
    ProposalCard {
        topic: proposal.topic.to_string(),
        author: proposal.author.clone(),
        opened: proposal.opened.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        summary: newest.map(|commit| safe(&commit.summary)).unwrap_or_default(),
        tip: proposal.tip,
        need: assessment.need.word().to_owned(),
        fit: fit(&assessment.fit).to_owned(),
    }
}
