//! Review: proposals, the changes of the state repo that wait for somebody else.
//!
//! A proposal is a branch `review/<topic>`. Owns who opened it, what it comes to against `main` as it is now, and how it
//! ends: merged, or closed. Judges by the same policy as every door, always on the merge that would become the tip of
//! `main`, never on what was true when it was pushed. Answers in text, so that the command line and the SSH door say the
//! same; showing how a merge is applied is the caller's.

mod answer;
mod assess;
mod decide;
mod proposals;
mod push;
mod tell;

use std::path::PathBuf;

use berth_repo::Revision;
use berth_schema::door::Topic;

use crate::hook::CaseError;

pub use answer::{Answer, Format, answer};
pub use assess::{Assessment, Assessor, Fit, Standing};
pub use proposals::{BRANCHES, CLOSED, OPEN, Proposal, all, find, propose, topic_of};
pub use push::{AfterPush, after_push};

pub(crate) use decide::signature;
pub(crate) use tell::proposed;

/// What is asked about proposals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Which there are.
    List,
    /// One of them.
    Show(Topic),
    /// Merge it.
    Approve(Approval),
    /// Close it without merging it.
    Reject {
        /// Which.
        topic: Topic,
        /// Why.
        reason: Option<String>,
    },
}

/// Somebody's consent to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Which.
    pub topic: Topic,
    /// Only while this is its tip: what was looked at is what is merged.
    pub at: Option<Revision>,
    /// The removals that it lifts the removal budget for, as a plan says them.
    pub allowance: Option<String>,
}

/// A question about proposals that can't be answered. What isn't allowed or can't be merged is an answer.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The repository can't be read or written.
    #[error("work on the state repo {path}")]
    Repo {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: berth_repo::Error,
    },
    /// There is no commit on `main`.
    #[error("the state repo {path} has no commit on main yet, so nothing can be proposed: push one")]
    Empty {
        /// Where it is.
        path: PathBuf,
    },
    /// What a proposal changes can't be looked at.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// An answer can't be written as JSON.
    #[error("write the answer as JSON")]
    Json(#[from] serde_json::Error),
}
