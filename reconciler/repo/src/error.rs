//! Errors of the repository itself. A mistake in the files that it holds is a finding, never an error.

use std::io;
use std::path::PathBuf;

use berth_fault::{Fault, Kind};

use crate::Revision;

/// An act that failed, and its subject. The reason below it is the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names and messages say it")]
pub enum Error {
    /// Loose objects of a repository can't be put together.
    #[error("cannot pack {}", path.display())]
    Pack {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place named as the state is a file.
    #[error("{path} is a file; name the folder or the repository that holds platform.toml")]
    NotAFolder { path: PathBuf },
    #[error("cannot set the mark {reference}")]
    Mark {
        reference: String,
        #[source]
        source: git2::Error,
    },
    #[error("{} does not exist", path.display())]
    Missing { path: PathBuf },
    #[error("{} is not a git repository", path.display())]
    NotARepository { path: PathBuf },
    /// A repository in a format that Berth does not read.
    #[error("{} uses {feature}, which Berth does not read: create the state repo with SHA-1 and the files ref format", path.display())]
    Unsupported {
        path: PathBuf,
        /// The format in words.
        feature: String,
    },
    /// This process can't write as the owner of the repository, or can't tell who that is.
    #[error("cannot write as the owner of {}", path.display())]
    Owner { path: PathBuf, source: io::Error },
    /// The environment names no repository, so this is not a hook.
    #[error("GIT_DIR is not set: git sets it for its hooks")]
    NoEnvironment,
    #[error("cannot open the repository {}", path.display())]
    Open { path: PathBuf, source: git2::Error },
    /// The objects of a push in progress could not be added.
    #[error("cannot read the incoming objects in {}", path.display())]
    OpenQuarantine {
        /// The folder git keeps them in.
        path: PathBuf,
        source: git2::Error,
    },
    /// `init` found a repository.
    #[error("{} already holds a repository", path.display())]
    Exists { path: PathBuf },
    #[error("cannot use the setting {name} of the repository {}", path.display())]
    Setting { name: &'static str, path: PathBuf, source: git2::Error },
    #[error("cannot create the repository {}", path.display())]
    Init { path: PathBuf, source: git2::Error },
    #[error("cannot close the repository {} to other users", path.display())]
    Close { path: PathBuf, source: std::io::Error },
    /// A place to try things out could not be made.
    #[error("cannot prepare the scratch repository {}", path.display())]
    Scratch { path: PathBuf, source: io::Error },
    #[error("cannot move objects to {}", path.display())]
    Keep { path: PathBuf, source: io::Error },
    /// Two changes could not be put together, although they don't conflict.
    #[error("cannot {act} {revision}")]
    Combine { act: &'static str, revision: Revision, source: git2::Error },
    /// `main` only grows, and the commit isn't built on its tip.
    #[error("{} is not built on {}", revision.short(), base.short())]
    NotBuiltOn { base: Revision, revision: Revision },
    /// Refs could not be read.
    #[error("cannot read the refs of {prefix}")]
    Refs {
        /// Name of the refs, or its beginning.
        prefix: String,
        source: git2::Error,
    },
    /// A note could not be read or written.
    #[error("cannot note what became of {}", revision.short())]
    Note { revision: Revision, source: git2::Error },
    /// Two texts could not be compared.
    #[error("cannot compare two texts")]
    Compare { source: git2::Error },
    #[error("cannot read the tip of main")]
    ReadHead { source: git2::Error },
    #[error("no commit is called '{spec}'")]
    Unknown {
        /// The revision expression.
        spec: String,
    },
    #[error("'{spec}' could mean several objects: write more of the id")]
    Ambiguous {
        /// The revision expression.
        spec: String,
    },
    /// The expression could not be followed to a commit.
    #[error("'{spec}' does not lead to a commit")]
    Resolve {
        /// The revision expression.
        spec: String,
        source: git2::Error,
    },
    #[error("cannot read commit {revision}")]
    ReadCommit { revision: Revision, source: git2::Error },
    #[error("cannot read the folder '{path}'")]
    ReadFolder {
        /// Path from the root of the state; empty for the root itself.
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot read '{path}'")]
    ReadFile {
        /// Path from the root of the state.
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An edit names a path that a state repo cannot hold.
    #[error("cannot write '{path}': {reason}")]
    BadPath { path: String, reason: &'static str },
    /// A name or address that git cannot carry.
    #[error("'{name} <{email}>' cannot sign a commit")]
    BadSignature {
        name: String,
        email: String,
        /// Git's reason; `None` when one of them holds control characters.
        source: Option<git2::Error>,
    },
    /// A blob, tree or commit could not be written.
    #[error("cannot write {object}")]
    WriteObject {
        /// The object in words.
        object: String,
        source: git2::Error,
    },
    /// The new objects could not be forced to disk, so `main` was left alone.
    #[error("cannot force {} to disk", path.display())]
    Sync { path: PathBuf, source: io::Error },
    /// `main` is not where the writer thought: somebody else was first, and nothing was written over.
    #[error("main moved: expected {}, found {}", in_words(expected), in_words(actual))]
    Moved {
        /// The tip that the writer expected; `None` before the first commit.
        expected: Option<Revision>,
        actual: Option<Revision>,
    },
    /// Another writer has held `main` for longer than a write takes.
    #[error("main is locked by another writer; if none is running, remove refs/heads/main.lock")]
    Locked { source: git2::Error },
    /// Nobody can tell whose turn it is to move `main`.
    #[error("cannot line up in {}", path.display())]
    LineUp { path: PathBuf, source: io::Error },
    #[error("cannot move main to {revision}")]
    MoveMain { revision: Revision, source: git2::Error },
}

impl Fault for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } | Self::Exists { .. } | Self::NotAFolder { .. } | Self::Moved { .. } => {
                Kind::User
            }
            _ => Kind::Configuration,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => {
                Some("name the state repo with --state (or BERTH_STATE), or make one with `berth init`")
            }
            Self::Unknown { .. } => Some("`git log --oneline main` in the state repo lists the revisions"),
            _ => None,
        }
    }
}

fn in_words(revision: &Option<Revision>) -> String {
    match revision {
        Some(revision) => revision.short(),
        None => "no commit".to_owned(),
    }
}
