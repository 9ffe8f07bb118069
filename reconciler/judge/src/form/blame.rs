//! Changes that others made meanwhile: which field, who, when.

use berth_repo::CommitInfo;
use berth_schema::Kind;
use berth_schema::form::{Input, read};
use berth_schema::text::safe;
use jiff::Timestamp;

use super::error::FormError;
use super::ground::Ground;

/// Commits to a file that are looked at.
const COMMITS: usize = 50;
/// Commits in all, among which they are looked for.
const WITHIN: usize = 2000;

/// A commit that made fields what they are.
pub(super) struct Blamed {
    /// The one who wrote it, and when, in words.
    pub(super) who: String,
    pub(super) when: String,
    pub(super) fields: Vec<String>,
}

/// Finds the newest commits that made these fields of a file what they are on `main`.
pub(super) fn blame(
    ground: &Ground<'_>,
    kind: Kind,
    path: &str,
    fields: &[&str],
) -> Result<Vec<Blamed>, FormError> {
    let mut left: Vec<&str> = fields.to_vec();
    let mut found = Vec::new();
    let commits = ground.repo.touching(&ground.main, path, COMMITS, WITHIN);
    for commit in commits.map_err(|source| ground.failed(source))? {
        if left.is_empty() {
            break;
        }
        let after = ground.text_at(&commit.revision, path)?;
        let before = match commit.parents.first() {
            Some(parent) => ground.text_at(parent, path)?,
            None => None,
        };
        let (before, after) = (values(kind, before), values(kind, after));
        let (here, others): (Vec<&str>, Vec<&str>) =
            left.iter().copied().partition(|field: &&str| value(&before, field) != value(&after, field));
        left = others;
        if !here.is_empty() {
            let fields = here.into_iter().map(str::to_owned).collect();
            found.push(Blamed { who: who(&commit), when: when(&commit), fields });
        }
    }
    Ok(found)
}

/// The commits that changed a file since a revision, as who and when.
pub(super) fn writers(
    ground: &Ground<'_>,
    path: &str,
    text: &str,
) -> Result<Vec<(String, String)>, FormError> {
    let commits = ground.repo.touching(&ground.main, path, COMMITS, WITHIN);
    let mut found = Vec::new();
    for commit in commits.map_err(|source| ground.failed(source))? {
        if ground.text_at(&commit.revision, path)?.as_deref() == Some(text) {
            break;
        }
        found.push((who(&commit), when(&commit)));
    }
    Ok(found)
}

fn values(kind: Kind, text: Option<String>) -> Vec<(&'static str, Input)> {
    read(kind, text.as_deref().unwrap_or_default())
}

fn value(values: &[(&'static str, Input)], field: &str) -> Input {
    values.iter().find(|(name, _)| *name == field).map(|(_, value)| value.normal()).unwrap_or_default()
}

fn who(commit: &CommitInfo) -> String {
    let proposed = commit.trailers.iter().find(|(key, _)| key.eq_ignore_ascii_case("Proposed-by"));
    safe(proposed.map_or(&commit.author.name, |(_, name)| name))
}

fn when(commit: &CommitInfo) -> String {
    let at = Timestamp::from_second(commit.committer.seconds).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
