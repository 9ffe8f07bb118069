//! Review: proposals, the changes of the state repo that wait for somebody else.
//!
//! A proposal is a branch `review/<topic>`. Owns who opened it, what it comes to against `main` as it is now, and how it
//! ends: merged, or closed. Judges by the same policy as every door, always on the merge that would become the tip of
//! `main`, never on what was true when it was pushed. Answers in text, so that the command line and the SSH door say the
//! same; showing how a merge is applied is the caller's.

mod answer;
mod assess;
mod decide;
mod hidden;
mod proposals;
mod push;
mod tell;

use std::net::IpAddr;
use std::path::PathBuf;

use berth_repo::Revision;
use berth_schema::door::Topic;

use crate::case::CaseError;

pub use answer::{Answer, Format, answer};
pub use assess::{Assessment, Assessor, Fit, Need};
pub(crate) use hidden::Member;
pub use proposals::{BRANCHES, CLOSED, OPEN, Proposal, all, find, propose, topic_of};
pub use push::{AfterPush, after_push};

pub(crate) use proposals::enough_open;

pub(crate) use decide::{Decided, all_seen, approve, objection, reject, seen};
pub use decide::{looked_at, signature};
pub(crate) use tell::{fit, plan, proposed};

/// A question about proposals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// All of them.
    List,
    /// One of them.
    Show(Topic),
    /// Merge it.
    Approve(Approval),
    /// Close it without merging it.
    Reject {
        /// The proposal's topic.
        topic: Topic,
        /// The words for its author.
        reason: Option<String>,
    },
}

/// Somebody's consent to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The proposal's topic.
    pub topic: Topic,
    /// The tip that it must still have, so that nothing is merged that wasn't looked at.
    pub at: Option<Revision>,
    /// The removals that it lifts the removal budget for, as a plan says them.
    pub allowance: Option<String>,
    /// Address that they come from, where the door knows it and `access.panel` binds it.
    pub from: Option<IpAddr>,
    /// Set if they know what they lose by the merge themselves.
    pub knows: bool,
}

/// A question about proposals that can't be answered. What isn't allowed or can't be merged is an answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ReviewError {
    /// The repository can't be read or written.
    #[error("cannot work on the state repo {path}")]
    Repo {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// There is no commit on `main`.
    #[error("the state repo {path} has no commit on main yet, so nothing can be proposed: push one")]
    Empty { path: PathBuf },
    /// A proposal's changes can't be looked at.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// An answer can't be written as JSON.
    #[error("cannot write the answer as JSON")]
    Json(#[from] serde_json::Error),
}
