//! Proposals: those that wait, one of them, and the decision.

use std::net::IpAddr;

use berth_schema::Revision;
use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommitLine, Done, FieldFinding, FileDiff, Needs, Scope, questions};

questions! {
    Proposals, "/proposals", Known => Vec<ProposalCard>, needs Needs::Scope(Scope::Read);
    ProposalRead, "/proposal", Known => ProposalSheet, needs Needs::Scope(Scope::Read);
    Approve, "/approve", Known => Decided, needs Needs::Scope(Scope::Reviews);
    Reject, "/reject", Known => Done, needs Needs::Scope(Scope::Reviews);
}

/// Asks for the proposals that wait and that the person may read: their own, or all for an admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proposals {}

/// A proposal in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalCard {
    /// Its topic.
    pub topic: String,
    /// User who opened it; `None` for whoever has the repository's files.
    pub author: Option<UserName>,
    /// When it was opened.
    pub opened: Option<Timestamp>,
    /// First line of its newest commit.
    pub summary: String,
    /// Its newest commit.
    pub tip: Revision,
    /// The consent that it needs, in a word or two: `needs review`.
    pub need: String,
    /// Way it merges: `clean`, `landed` or `conflicts`.
    pub fit: String,
}

/// Asks for one proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProposalRead {
    /// Its topic.
    pub topic: String,
    /// Address that the person comes from, as for [`super::Plan`].
    pub from: Option<IpAddr>,
}

/// One proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalSheet {
    /// Its entry in a list.
    pub card: ProposalCard,
    /// Its commits, the youngest first.
    pub commits: Vec<CommitLine>,
    /// Mistakes, and what has to be agreed to.
    pub findings: Vec<FieldFinding>,
    /// The plan, in the words of a push, or why there is none.
    pub plan: String,
    /// Lines of the plan that say what is lost.
    pub losses: Vec<String>,
    /// The files before and after.
    pub diffs: Vec<FileDiff>,
    /// People any one of whom may approve it.
    pub approvers: Vec<UserName>,
    /// Set if the person who asks may approve it now.
    pub may_approve: bool,
    /// Sentences about what they lose by that themselves. To be known before it is merged.
    pub shuts_out: Vec<String>,
    /// Set if the person who asks may close it: an admin, or its author.
    pub may_reject: bool,
}

/// Merges a proposal into `main`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Approve {
    /// Its topic.
    pub topic: String,
    /// The revision that was looked at: if it isn't the tip any more, nothing is merged.
    pub at: Revision,
    /// Address that the person comes from, as for [`super::Plan`].
    pub from: Option<IpAddr>,
    /// Set if they know what [`ProposalSheet::shuts_out`] says.
    pub knows: bool,
}

/// Outcome of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The tip of `main` now.
    pub revision: Revision,
    /// Sentence that tells the outcome.
    pub message: String,
}

/// Closes a proposal without merging it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reject {
    /// Its topic.
    pub topic: String,
    /// Words for its author.
    pub reason: String,
}
