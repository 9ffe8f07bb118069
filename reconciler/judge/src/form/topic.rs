//! Topics of the proposals that forms make.

use berth_repo::{Revision, StateRepo};
use berth_schema::Kind;
use berth_schema::door::{TOPIC_MAX, Topic};

use super::error::FormError;
use crate::review;

/// A topic for a change of this file that no proposal has: `server-shop`, then `server-shop-2`.
pub(super) fn of_file(repo: &StateRepo, path: &str, kind: Option<Kind>) -> Result<Topic, FormError> {
    free(repo, &words_of_file(path, kind))
}

/// A topic for taking a revision back: `revert-1a2b3c4d`.
pub(super) fn of_revert(repo: &StateRepo, revision: &Revision) -> Result<Topic, FormError> {
    free(repo, &words_of_revert(revision))
}

/// The beginning of the topics for a change of this file.
pub(super) fn words_of_file(path: &str, kind: Option<Kind>) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    let words = match kind {
        Some(Kind::Platform) => name.to_owned(),
        Some(kind) => format!("{kind}-{name}"),
        None if path.starts_with("docs/") => format!("page-{name}"),
        None => format!("file-{name}"),
    };
    let words: String =
        words.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    // With room for a number.
    let words: String = words.chars().take(TOPIC_MAX - 8).collect();
    words.trim_matches('-').to_owned()
}

/// The beginning of the topics for taking a revision back.
pub(super) fn words_of_revert(revision: &Revision) -> String {
    format!("revert-{}", revision.short())
}

/// Topics that begin with these words: without a number, then with one.
pub(super) fn numbered(words: &str) -> impl Iterator<Item = Topic> {
    let numbers = std::iter::once(String::new()).chain((2_u32..).map(|number| format!("-{number}")));
    numbers.filter_map(move |number| format!("{words}{number}").parse::<Topic>().ok())
}

fn free(repo: &StateRepo, words: &str) -> Result<Topic, FormError> {
    let taken = review::all(repo)?;
    let mut free = numbered(words).filter(|topic| !taken.iter().any(|proposal| proposal.topic == *topic));
    free.next().ok_or(FormError::Busy)
}
