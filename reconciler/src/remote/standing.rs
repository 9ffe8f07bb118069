//! Standing: what is known of the forge, for those who ask how things are. A file, so that it can be read while nothing
//! follows; everything in it can be lost.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of the forge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Where git fetches from.
    pub url: String,
    /// The branch that `main` follows.
    pub branch: String,
    /// Where the webhook listens now.
    pub listening: Option<SocketAddr>,
    /// When the forge answered last.
    pub looked_at: Option<Timestamp>,
    /// The branch's tip then.
    pub tip: Option<String>,
    /// Why the last look failed.
    pub trouble: Option<String>,
    /// The tip that `main` doesn't follow.
    pub refused: Option<Refusal>,
    /// Why the webhook doesn't listen.
    pub webhook_trouble: Option<String>,
    /// What the forge was told last.
    pub told: Option<Told>,
    /// Why it can't be told more.
    pub telling_trouble: Option<String>,
}

/// A tip that `main` doesn't follow, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The tip.
    pub revision: String,
    /// Where `main` was.
    pub main: String,
    /// What is wrong, the first things of it.
    pub why: Vec<String>,
    /// How to mend it.
    pub hint: String,
}

/// A state that the forge shows at a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The commit.
    pub revision: String,
    /// Its state.
    pub state: String,
    /// The line beside it.
    pub description: String,
}

impl Standing {
    /// Whether somebody has to look at something.
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
