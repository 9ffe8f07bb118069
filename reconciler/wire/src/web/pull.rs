//! Pull requests: the changes of members that go to the forge which hosts the state repo.

use berth_schema::Revision;
use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Done, FileDiff, Needs, Scope, questions};

questions! {
    Pulls, "/pulls", Known => Vec<PullCard>, needs Needs::Scope(Scope::Read);
    PullRead, "/pull", Known => PullSheet, needs Needs::Scope(Scope::Read);
    PullWithdraw, "/pull-withdraw", Known => Done, needs Needs::Scope(Scope::Reviews);
}

/// Asks for the changes that went to the forge, the newest first: the person's own, or all for an admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pulls {}

/// State of a change on its way to the forge and there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullState {
    /// It isn't at the forge yet.
    #[default]
    Waiting,
    /// It is an open pull request.
    Open,
    /// The pull request was merged.
    Merged,
    /// The pull request was closed without being merged.
    Closed,
    /// `main` has all of it by another commit.
    Superseded,
    /// The forge doesn't take it. It is tried again from time to time.
    Failed,
}

impl PullState {
    /// The state in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Closed => "closed",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }

    /// Returns whether nothing more happens to it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Merged | Self::Closed | Self::Superseded)
    }
}

/// A change in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullCard {
    /// Its author.
    pub user: UserName,
    /// Its topic: with the author's name, it is the only one.
    pub topic: String,
    /// First line of its commit.
    pub summary: String,
    /// Its commit.
    pub revision: Revision,
    /// When it was asked for.
    pub asked: Timestamp,
    /// Its state.
    pub state: PullState,
    /// Reason for the state, in a sentence, where there is one.
    pub why: Option<String>,
    /// The forge, as its URL has it.
    pub forge: String,
    /// Number of the pull request.
    pub number: Option<u64>,
    /// Page of the pull request.
    pub url: Option<String>,
    /// Set if the policy allows it outright.
    pub is_allowed: bool,
    /// Set if Berth merges it itself.
    pub is_merged_here: bool,
    /// People any one of whom may agree to it by the policy, where somebody has to.
    pub approvers: Vec<UserName>,
    /// The revision by which `main` has it.
    pub landed: Option<Revision>,
    /// Set if it can be taken back here, since the forge doesn't have it.
    pub may_withdraw: bool,
}

/// Asks for one change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullRead {
    /// Its author.
    pub user: UserName,
    /// Its topic.
    pub topic: String,
}

/// Takes back a change that the forge doesn't have yet: one's own, or anybody's as an admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullWithdraw {
    /// Its author.
    pub user: UserName,
    /// Its topic.
    pub topic: String,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullSheet {
    /// Its entry in a list.
    pub card: PullCard,
    /// Branch at the forge.
    pub branch: String,
    /// The plan in the words of a push, as it was when the change was asked for.
    pub plan: String,
    /// Lines of the plan that say what is lost.
    pub losses: Vec<String>,
    /// The files before and after.
    pub diffs: Vec<FileDiff>,
}
