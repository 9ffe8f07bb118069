//! Topics of the proposals that forms make.

use berth_repo::{Revision, StateRepo};
use berth_schema::Kind;
use berth_schema::door::{TOPIC_MAX, Topic};

use super::error::FormError;
use crate::review;

/// A topic for a change of this file that no proposal has: `server-shop`, then `server-shop-2`.
pub(super) fn of_file(repo: &StateRepo, path: &str, kind: Option<Kind>) -> Result<Topic, FormError> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    let words = match kind {
        Some(Kind::Platform) => name.to_owned(),
        Some(kind) => format!("{kind}-{name}"),
        None => format!("page-{name}"),
    };
    let words: String =
        words.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    // With room for a number.
    let words: String = words.chars().take(TOPIC_MAX - 8).collect();
    free(repo, words.trim_matches('-'))
}

/// A topic for taking a revision back: `revert-1a2b3c4d`.
pub(super) fn of_revert(repo: &StateRepo, revision: &Revision) -> Result<Topic, FormError> {
    free(repo, &format!("revert-{}", revision.short()))
}

fn free(repo: &StateRepo, words: &str) -> Result<Topic, FormError> {
    let taken = review::all(repo)?;
    let numbers = std::iter::once(String::new()).chain((2_u32..).map(|number| format!("-{number}")));
    let topics = numbers.filter_map(|number| format!("{words}{number}").parse::<Topic>().ok());
    let mut free = topics.filter(|topic| !taken.iter().any(|proposal| proposal.topic == *topic));
    free.next().ok_or(FormError::Busy)
}
