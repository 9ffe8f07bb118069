//! Errors of a view. A mistake in a push into one is a finding.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use berth_schema::name::UserName;

/// An act that failed, and its subject.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names and messages say it")]
pub enum ViewError {
    /// Nobody has this name, so there is nothing to see.
    #[error("there is no user `{user}` on main")]
    Stranger { user: UserName },
    /// Admins read and write the state repo itself.
    #[error("`{user}` is an admin, and admins work on the state repo itself")]
    Admin { user: UserName },
    /// Another command works on the same view, and doesn't come to an end.
    #[error("the view of `{user}` has been in use for {} s", after.as_secs())]
    Busy { user: UserName, after: Duration },
    /// The member may see other things than when git began their push.
    #[error("what `{user}` may see has changed meanwhile")]
    Changed { user: UserName },
    /// Somebody else fills the store of what all members see, and doesn't come to an end.
    #[error("what all members see has been made ready for somebody else for {} s", after.as_secs())]
    Line { after: Duration },
    #[error(transparent)]
    State(#[from] crate::Error),
    /// Git can't do something in the state repo or in the view.
    #[error("{act}")]
    Git {
        act: String,
        #[source]
        source: git2::Error,
    },
    /// Git can't write a pack.
    #[error("cannot write a pack in {}", path.display())]
    Copy {
        path: PathBuf,
        #[source]
        source: crate::git::GitError,
    },
    /// Git can't tell what commits changed.
    #[error("cannot compare commits of {}", path.display())]
    Compare {
        path: PathBuf,
        #[source]
        source: crate::git::GitError,
    },
    /// A file or a folder can't be read or written.
    #[error("{act} {path}")]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A commit's bytes aren't those of a commit.
    #[error("the commit {commit} can't be read")]
    Commit { commit: String },
}

/// Names the act for an error of git's.
pub(super) fn git(act: impl Into<String>) -> impl FnOnce(git2::Error) -> ViewError {
    let act = act.into();
    move |source| ViewError::Git { act, source }
}

/// Names the act and the file for an error of the system's.
pub(super) fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ViewError {
    let path = path.into();
    move |source| ViewError::File { act, path, source }
}
