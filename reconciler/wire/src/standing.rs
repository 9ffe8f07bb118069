//! Standing: everything known of the forge, for those who ask how things are. A file, so that it can be read while nothing
//! follows; everything in it can be lost.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use berth_host::FileLock;
use berth_schema::Revision;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The file's name in the follower's folder.
pub const FILE: &str = "standing.json";
/// The name of the file that the follower holds locked.
pub const LOCK: &str = "lock";

/// Everything known of the forge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// The URL that git fetches from.
    pub url: String,
    /// The branch that `main` follows.
    pub branch: String,
    /// The address at which the webhook listens now.
    pub listening: Option<SocketAddr>,
    /// When the forge answered last.
    pub looked_at: Option<Timestamp>,
    /// The branch's tip then.
    pub tip: Option<Revision>,
    /// Reason that the last look failed.
    pub trouble: Option<String>,
    /// The tip that `main` doesn't follow.
    pub refused: Option<Refusal>,
    /// Reason that the webhook doesn't listen.
    pub webhook_trouble: Option<String>,
    /// The last state that the forge was told.
    pub told: Option<Told>,
    /// Reason that it can't be told more.
    pub telling_trouble: Option<String>,
    /// Reason that members' changes can't become pull requests there.
    pub pulls_trouble: Option<String>,
}

/// A tip that `main` doesn't follow, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The tip.
    pub revision: Revision,
    /// The tip of `main` then.
    pub main: Revision,
    /// The first mistakes.
    pub why: Vec<String>,
    /// Advice that mends it.
    pub hint: String,
}

/// A state that the forge shows at a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The commit.
    pub revision: Revision,
    /// Its state.
    pub state: CommitState,
    /// The line beside it.
    pub description: String,
}

/// The state of a commit, as forges have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitState {
    /// It is being applied.
    Pending,
    /// It is applied.
    Success,
    /// It is refused, or not wholly applied.
    Failure,
}

impl Standing {
    /// Everything that a `berth remote` wrote into its folder at `path`; `None` when none ever did.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path.join(FILE)).ok()?).ok()
    }

    /// Checks that a `berth remote` holds its folder at `path` now.
    pub fn is_kept(path: &Path) -> bool {
        FileLock::is_held(&path.join(LOCK))
    }

    /// Checks that nobody has to look at anything. Where no pull request can be opened, doors say so to whoever wants one.
    pub fn is_fine(&self) -> bool {
        self.trouble.is_none()
            && self.refused.is_none()
            && self.webhook_trouble.is_none()
            && self.telling_trouble.is_none()
    }
}

impl Refusal {
    /// The first thing that is wrong.
    pub fn first(&self) -> &str {
        self.why.first().map_or("", String::as_str)
    }
}

impl CommitState {
    /// The word of GitHub and Forgejo; GitLab has another one for a failure.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}
