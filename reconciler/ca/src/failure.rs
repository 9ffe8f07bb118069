//! Failures that any CA causes, in words for whoever reads `berth status`.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_wire::certificate::OrderFailure;

use crate::roots::RootsError;

/// Kind of a problem (RFC 8555, 6.7) that says to come back later.
const RATE_LIMITED: &str = ":rateLimited";
/// Status that says so, too (RFC 6585, 4).
const TOO_MANY_REQUESTS: u16 = 429;

/// A CA gave nothing, or nothing of it could be kept.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CaError {
    #[error("the CA can't be reached at {directory}: {why}")]
    Unreachable { directory: String, why: String },
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error("the CA at {directory} didn't answer within {} s", within.as_secs_f32())]
    Silent { directory: String, within: Duration },
    #[error("the CA refuses: {0}")]
    Refused(String),
    #[error("the CA takes no more orders for now: {0}")]
    RateLimited(String),
    #[error("the CA's answer can't be read")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot keep {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl CaError {
    /// Refusal in the CA's own words, by the kind of its problem (RFC 7807, `type`) and its HTTP status.
    pub fn refused(kind: &str, status: Option<u16>, words: String) -> Self {
        match kind.ends_with(RATE_LIMITED) || status == Some(TOO_MANY_REQUESTS) {
            true => Self::RateLimited(words),
            false => Self::Refused(words),
        }
    }

    /// Failure to keep a file or a folder.
    pub fn folder(path: &Path) -> impl Fn(io::Error) -> Self {
        |source| Self::Folder { path: path.to_owned(), source }
    }

    /// Kind of the failure.
    pub fn kind(&self) -> OrderFailure {
        match self {
            Self::Unreachable { .. } | Self::Roots(_) => OrderFailure::Unreachable,
            Self::Silent { .. } => OrderFailure::Silent,
            Self::Refused(_) => OrderFailure::Refused,
            Self::RateLimited(_) => OrderFailure::RateLimited,
            Self::Unreadable(_) => OrderFailure::Unreadable,
            Self::Folder { .. } => OrderFailure::Folder,
        }
    }
}
