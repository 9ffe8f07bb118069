//! What can go wrong with the repository itself. What is wrong with the files in it is a finding, never an error.

use std::io;
use std::path::PathBuf;

use crate::Revision;

/// An act that failed, and its subject. The reason below it is the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was named as the state is a file.
    #[error("{path} is a file; name the folder or the repository that holds platform.toml")]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// A mark could not be set.
    #[error("set the mark {reference}")]
    Mark {
        /// The ref.
        reference: String,
        /// Why not.
        #[source]
        source: git2::Error,
    },
    /// Nothing is there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path asked for.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not a git repository", path.display())]
    NotARepository {
        /// The path asked for.
        path: PathBuf,
    },
    /// A repository in a format that Berth does not read.
    #[error("{} uses {feature}, which Berth does not read: create the state repo with SHA-1 and the files ref format", path.display())]
    Unsupported {
        /// The repository.
        path: PathBuf,
        /// The format in words.
        feature: String,
    },
    /// The environment names no repository, so this is not a hook.
    #[error("GIT_DIR is not set: git sets it for its hooks")]
    NoEnvironment,
    /// The repository could not be opened.
    #[error("cannot open the repository {}", path.display())]
    Open {
        /// The repository.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// The objects of a push in progress could not be added.
    #[error("cannot read the incoming objects in {}", path.display())]
    OpenQuarantine {
        /// The folder git keeps them in.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// `init` found a repository.
    #[error("{} already holds a repository", path.display())]
    Exists {
        /// The path asked for.
        path: PathBuf,
    },
    /// The repository could not be created.
    #[error("cannot create the repository {}", path.display())]
    Init {
        /// The path asked for.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// A place to try things out could not be made.
    #[error("cannot prepare the scratch repository {}", path.display())]
    Scratch {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two changes could not be put together, and not because they conflict.
    #[error("cannot {act} {revision}")]
    Combine {
        /// What was being done.
        act: &'static str,
        /// The commit.
        revision: Revision,
        /// Why.
        source: git2::Error,
    },
    /// `main` only grows.
    #[error("{} is not built on {}", revision.short(), base.short())]
    NotBuiltOn {
        /// Where `main` is.
        base: Revision,
        /// Where it was to go.
        revision: Revision,
    },
    /// Refs could not be read.
    #[error("cannot read the refs of {prefix}")]
    Refs {
        /// Their name, or how it begins.
        prefix: String,
        /// Why.
        source: git2::Error,
    },
    /// A note could not be read or written.
    #[error("cannot note what became of {}", revision.short())]
    Note {
        /// The commit.
        revision: Revision,
        /// Why.
        source: git2::Error,
    },
    /// The tip of `main` could not be read.
    #[error("cannot read the tip of main")]
    ReadHead {
        /// Why.
        source: git2::Error,
    },
    /// No commit has this name.
    #[error("no commit is called '{spec}'")]
    Unknown {
        /// The revision expression.
        spec: String,
    },
    /// Several objects have this name.
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
        /// Why.
        source: git2::Error,
    },
    /// A commit could not be read.
    #[error("cannot read commit {revision}")]
    ReadCommit {
        /// The commit.
        revision: Revision,
        /// Why.
        source: git2::Error,
    },
    /// A folder of a revision, or of a plain directory tree, could not be read.
    #[error("cannot read the folder '{path}'")]
    ReadFolder {
        /// Path from the root of the state; empty for the root itself.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of a revision, or of a plain directory tree, could not be read.
    #[error("cannot read '{path}'")]
    ReadFile {
        /// Path from the root of the state.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An edit names a path that a state repo cannot hold.
    #[error("cannot write '{path}': {reason}")]
    BadPath {
        /// The path of the edit.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name or address that git cannot carry.
    #[error("'{name} <{email}>' cannot sign a commit")]
    BadSignature {
        /// The name.
        name: String,
        /// The address.
        email: String,
        /// Why; none when it holds control characters.
        source: Option<git2::Error>,
    },
    /// A blob, tree or commit could not be written.
    #[error("cannot write {object}")]
    WriteObject {
        /// The object in words.
        object: String,
        /// Why.
        source: git2::Error,
    },
    /// The new objects could not be forced to disk, so `main` was left alone.
    #[error("cannot force {} to disk", path.display())]
    Sync {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `main` is not where the writer thought: somebody else was first, and nothing was written over.
    #[error("main moved: expected {}, found {}", in_words(expected), in_words(actual))]
    Moved {
        /// Where the writer thought `main` was; `None` before the first commit.
        expected: Option<Revision>,
        /// Where it is.
        actual: Option<Revision>,
    },
    /// Another writer has held `main` for longer than a write takes.
    #[error("main is locked by another writer; if none is running, remove refs/heads/main.lock")]
    Locked {
        /// Why.
        source: git2::Error,
    },
    /// `main` could not be moved.
    #[error("cannot move main to {revision}")]
    MoveMain {
        /// The new commit.
        revision: Revision,
        /// Why.
        source: git2::Error,
    },
}

fn in_words(revision: &Option<Revision>) -> String {
    match revision {
        Some(revision) => revision.short(),
        None => "no commit".to_owned(),
    }
}
