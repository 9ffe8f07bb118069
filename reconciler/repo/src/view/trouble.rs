//! Reasons for which a push can't be made again.

use berth_schema::name::Invalid;
use berth_schema::{Finding, Severity};

use crate::bounds::Stopped;

/// Reason for which a commit can't be made again.
pub(super) enum Trouble {
    Git(git2::Error),
    Refused(Finding),
}

impl From<git2::Error> for Trouble {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

impl From<Stopped> for Trouble {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Git(error) => Self::Git(error),
            Stopped::Excess(excess) => {
                Self::Refused(Finding::new(Severity::Error, "the commits", None, excess.in_words()))
            }
        }
    }
}

pub(super) fn refusal(place: impl Into<String>, message: impl Into<String>, hint: &str) -> Finding {
    Finding::new(Severity::Error, place.into(), None, Invalid::new(message.into(), hint))
}

/// The finding that somebody else moved a branch first.
pub(super) fn moved_meanwhile(reference: &str) -> Finding {
    let name = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    let message = format!("`{name}` has moved since you fetched it");
    refusal(reference, message, "`git pull --rebase`, look at what others changed, and push again")
}
