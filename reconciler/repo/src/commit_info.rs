//! A commit's account of itself: its author and committer, their times, and its message.

use std::time::{SystemTime, UNIX_EPOCH};

use berth_schema::text::steers;
use git2::Repository;
use serde::Serialize;

use crate::oid::{oid, revision_of};
use crate::{Error, Revision};

/// Somebody, at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Name, for people.
    pub name: String,
    /// Address.
    pub email: String,
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Minutes by which their clock was ahead of UTC.
    pub offset_minutes: i32,
}

/// A commit without its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitInfo {
    /// The commit.
    pub revision: Revision,
    /// The commits that it was made on; two or more for a merge, none for the first commit.
    pub parents: Vec<Revision>,
    /// Author of the change.
    pub author: Signature,
    /// The member who put it into the repo, or the door it came through.
    pub committer: Signature,
    /// First line of the message.
    pub summary: String,
    /// The whole message.
    pub message: String,
    /// `Key: value` lines at the end of the message, in order.
    pub trailers: Vec<(String, String)>,
}

impl Signature {
    /// A signature at this moment, in UTC.
    pub fn now(name: impl Into<String>, email: impl Into<String>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(name, email, i64::try_from(since.as_secs()).unwrap_or_default())
    }

    /// A signature at `seconds` since 1970, in UTC.
    pub fn at(name: impl Into<String>, email: impl Into<String>, seconds: i64) -> Self {
        Self { name: name.into(), email: email.into(), seconds, offset_minutes: 0 }
    }

    pub(crate) fn to_git(&self) -> Result<git2::Signature<'static>, Error> {
        let refuse =
            |source| Error::BadSignature { name: self.name.clone(), email: self.email.clone(), source };
        // libgit2 writes the name as it is: a line break in it would start a header of its own.
        if self.name.chars().chain(self.email.chars()).any(steers) {
            return Err(refuse(None));
        }
        let time = git2::Time::new(self.seconds, self.offset_minutes);
        git2::Signature::new(&self.name, &self.email, &time).map_err(|source| refuse(Some(source)))
    }

    pub(crate) fn from_git(signature: &git2::Signature<'_>) -> Self {
        Self {
            name: String::from_utf8_lossy(signature.name_bytes()).into_owned(),
            email: String::from_utf8_lossy(signature.email_bytes()).into_owned(),
            seconds: signature.when().seconds(),
            offset_minutes: signature.when().offset_minutes(),
        }
    }
}

pub(crate) fn read(repository: &Repository, revision: &Revision) -> Result<CommitInfo, Error> {
    let unreadable = |source| Error::ReadCommit { revision: *revision, source };
    let commit = repository.find_commit(oid(revision)).map_err(unreadable)?;
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    // libgit2 finds no trailers without a line break at the end, which `git commit` always writes and others may not.
    let terminated = format!("{}\n", message.trim_end());
    let trailers = git2::message_trailers_strs(&terminated).map_err(unreadable)?;
    Ok(CommitInfo {
        revision: *revision,
        parents: commit.parent_ids().map(revision_of).collect(),
        author: Signature::from_git(&commit.author()),
        committer: Signature::from_git(&commit.committer()),
        summary: message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned(),
        trailers: trailers.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        message,
    })
}
