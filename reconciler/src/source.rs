//! The source of state: a git repository's `main`, or a plain folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_plan::diff::ALLOW_REMOVALS;
use berth_repo::{Loaded, Revision, Signature, StateRepo, load_directory};
use berth_schema::{Finding, State};

use crate::note::Note;

/// The ref that remembers the last revision of which every change succeeded. It travels with the repository, so a new
/// host knows it too.
pub const APPLIED: &str = "refs/berth/applied";

/// How often a note is tried to be written.
const NOTE_ATTEMPTS: usize = 3;

/// What a plain folder calls its revision.
pub const FOLDER_REVISION: &str = "folder";

/// Where state comes from.
pub enum Source {
    /// A git repository.
    Repository(Box<StateRepo>),
    /// A plain folder: no history, so no way back to the last good state after a restart.
    Folder(PathBuf),
}

/// A state, and what its revision says about itself.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The revision, in full.
    pub revision: String,
    /// The state.
    pub state: Arc<State>,
    /// The hash that the commit's trailer carries.
    pub allowance: Option<String>,
}

/// What was found at a revision.
pub struct Found {
    /// The revision, in full.
    pub revision: String,
    /// The state, or what is wrong with it.
    pub state: Result<Settled, Vec<Finding>>,
    /// The texts that the findings point into.
    pub loaded: Loaded,
}

/// A state repo that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Reading failed.
    #[error("read the state repo {path}")]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: berth_repo::Error,
    },
    /// There is no commit on `main`.
    #[error("the state repo {path} has no commit on main yet: push one")]
    Empty {
        /// Where it is.
        path: PathBuf,
    },
    /// Revisions were asked of a plain folder.
    #[error("{path} is a plain folder, which has no revisions: point --state at a git repository")]
    NoHistory {
        /// Where it is.
        path: PathBuf,
    },
}

impl Found {
    /// What was found, from what was loaded.
    pub(crate) fn new(revision: String, loaded: Loaded, allowance: Option<String>) -> Self {
        let state = match &loaded.state {
            Ok(state) => Ok(Settled { revision: revision.clone(), state: Arc::clone(state), allowance }),
            Err(findings) => Err(findings.clone()),
        };
        Self { revision, state, loaded }
    }
}

impl Source {
    /// Opens the state repo at `path`.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Read { path: path.to_owned(), source };
        match berth_repo::Source::of(path).map_err(failed)? {
            berth_repo::Source::Directory => Ok(Self::Folder(path.to_owned())),
            _ => Ok(Self::Repository(Box::new(StateRepo::open(path).map_err(failed)?))),
        }
    }

    /// The git folder, for a watcher.
    pub fn git_dir(&self) -> Option<&Path> {
        match self {
            Self::Repository(repo) => Some(repo.git_dir()),
            Self::Folder(_) => None,
        }
    }

    /// The tip of `main`.
    pub fn tip(&self) -> Result<String, SourceError> {
        match self {
            Self::Folder(_) => Ok(FOLDER_REVISION.to_owned()),
            Self::Repository(repo) => {
                let failed = |source| SourceError::Read { path: self.path(), source };
                let head = repo.head().map_err(failed)?;
                head.map(|revision| revision.to_string())
                    .ok_or_else(|| SourceError::Empty { path: self.path() })
            }
        }
    }

    /// What is at `revision`, or at the tip of `main` where none is given.
    pub fn find(&mut self, revision: Option<&str>) -> Result<Found, SourceError> {
        let path = self.path();
        let failed = |source| SourceError::Read { path: path.clone(), source };
        match self {
            Self::Folder(folder) => match revision {
                Some(FOLDER_REVISION) | None => {
                    Ok(Found::new(FOLDER_REVISION.to_owned(), load_directory(folder).map_err(failed)?, None))
                }
                Some(_) => Err(SourceError::NoHistory { path }),
            },
            Self::Repository(repo) => {
                let revision = match revision {
                    Some(spec) => repo.resolve(spec).map_err(failed)?,
                    None => repo.head().map_err(failed)?.ok_or(SourceError::Empty { path: path.clone() })?,
                };
                let loaded = repo.load(&revision).map_err(failed)?;
                let allowance = allowance(repo, &revision).map_err(failed)?;
                Ok(Found::new(revision.to_string(), loaded, allowance))
            }
        }
    }

    /// The last revision of which every change succeeded, and its state; `None` when there was none, or it can't be
    /// read any more.
    pub fn applied(&mut self) -> Option<Settled> {
        let Self::Repository(repo) = self else { return None };
        let revision = repo.resolve(APPLIED).ok()?;
        let state = repo.load(&revision).ok()?.state.ok()?;
        Some(Settled { revision: revision.to_string(), state, allowance: None })
    }

    /// Remembers that every change of `revision` succeeded.
    pub fn mark_applied(&self, revision: &str) -> Result<(), SourceError> {
        let Self::Repository(repo) = self else { return Ok(()) };
        let failed = |source| SourceError::Read { path: self.path(), source };
        let revision = repo.resolve(revision).map_err(failed)?;
        repo.mark(APPLIED, &revision).map_err(failed)
    }

    /// What was noted of a revision. A plain folder has no notes.
    pub fn noted(&self, revision: &str) -> Result<Option<Note>, SourceError> {
        let Self::Repository(repo) = self else { return Ok(None) };
        let failed = |source| SourceError::Read { path: self.path(), source };
        let revision = repo.resolve(revision).map_err(failed)?;
        let text = repo.note(&revision).map_err(failed)?;
        Ok(text.and_then(|text| Note::parse(&text)))
    }

    /// Notes what became of a revision.
    pub fn note(&self, revision: &str, note: &Note) -> Result<(), SourceError> {
        let Self::Repository(repo) = self else { return Ok(()) };
        let failed = |source| SourceError::Read { path: self.path(), source };
        let revision = repo.resolve(revision).map_err(failed)?;
        let by = Signature::now("Berth", "berth@localhost");
        let mut written = repo.write_note(&revision, &by, &note.text());
        // Somebody else who notes something at the same moment, such as a person with `git notes`, gets ahead.
        for _ in 1..NOTE_ATTEMPTS {
            if written.is_ok() {
                break;
            }
            written = repo.write_note(&revision, &by, &note.text());
        }
        written.map_err(failed)
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Repository(repo) => repo.git_dir().to_owned(),
            Self::Folder(path) => path.clone(),
        }
    }
}

/// The removals that a revision's message allows beyond the budget: the hash in its trailer.
pub(crate) fn allowance(repo: &StateRepo, revision: &Revision) -> Result<Option<String>, berth_repo::Error> {
    let info = repo.commit_info(revision)?;
    Ok(info.trailers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(ALLOW_REMOVALS)).map(|(_, v)| v))
}
