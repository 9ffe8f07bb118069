//! The source of state: a git repository's `main`, or a plain folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use berth_fault::{Fault, Kind};
use berth_judge::case::Allowed;
use berth_judge::note::Note;
use berth_repo::{APPLIED, BadName, Loaded, Signature, StateRepo, bad_names_below, load_directory};
use berth_schema::certificate_register::CertificateRegister;
use berth_schema::name::{ServerId, UserName};
use berth_schema::platform::Platform;
use berth_schema::{Finding, Origin, Parsed, State};

/// Attempts at writing a note.
const NOTE_ATTEMPTS: usize = 3;

/// The source of state.
pub enum Source {
    /// A git repository.
    Repository(Box<StateRepo>),
    /// A plain folder: no history, so no way back to the last good state after a restart.
    Folder(PathBuf),
}

/// A good state, and what its revision says about itself.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The place that it was read from.
    pub revision: Origin,
    /// The state.
    pub state: Arc<State>,
    /// The hash that the commit's trailer carries.
    pub allowance: Option<String>,
}

/// Everything found at a revision.
pub struct Found {
    /// The place that it was read from.
    pub revision: Origin,
    /// The state, or what is wrong with it.
    pub state: Result<Settled, Vec<Finding>>,
    /// The texts that the findings point into.
    pub loaded: Loaded,
}

/// A state repo that can't be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum SourceError {
    /// Reading failed.
    #[error("cannot read the state repo {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// There is no commit on `main`.
    #[error("the state repo {path} has no commit on main yet: push one")]
    Empty { path: PathBuf },
    /// Revisions were asked of a plain folder.
    #[error("{path} is a plain folder, which has no revisions: point --state at a git repository")]
    NoHistory { path: PathBuf },
}

impl Fault for SourceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { source, .. } => source.kind(),
            Self::Empty { .. } | Self::NoHistory { .. } => Kind::User,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { source, .. } => source.hint(),
            Self::Empty { .. } | Self::NoHistory { .. } => None,
        }
    }
}

/// Reads `platform.toml` of `main`, and nothing else of it. `None` where that can't be read, or has mistakes.
pub fn platform(repo: &StateRepo) -> Option<Arc<Platform>> {
    let head = repo.head().ok()??;
    let bytes = repo.read(&head, "platform.toml").ok()??;
    let parsed = Parsed::parse("platform.toml", &String::from_utf8_lossy(&bytes));
    Some(State::assemble([&parsed]).ok()?.platform)
}

impl Found {
    /// Sorts what was loaded.
    pub(crate) fn new(revision: Origin, loaded: Loaded, allowance: Option<String>) -> Self {
        let state = match &loaded.state {
            Ok(state) => Ok(Settled { revision, state: Arc::clone(state), allowance }),
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
    pub fn tip(&self) -> Result<Origin, SourceError> {
        match self {
            Self::Folder(_) => Ok(Origin::Folder),
            Self::Repository(repo) => {
                let failed = |source| SourceError::Read { path: self.path(), source };
                let head = repo.head().map_err(failed)?;
                head.map(Origin::Revision).ok_or_else(|| SourceError::Empty { path: self.path() })
            }
        }
    }

    /// Reads the state at `revision`, or at the tip of `main` where none is given.
    pub fn find(&mut self, revision: Option<&str>) -> Result<Found, SourceError> {
        let at = match (&*self, revision) {
            (Self::Repository(repo), Some(spec)) => repo.resolve(spec).map_err(self.failed())?.into(),
            (Self::Folder(path), Some(_)) => return Err(SourceError::NoHistory { path: path.clone() }),
            (_, None) => self.tip()?,
        };
        self.at(at)
    }

    /// Reads the state there.
    pub fn at(&mut self, origin: Origin) -> Result<Found, SourceError> {
        let failed = self.failed();
        match (self, origin) {
            (Self::Folder(folder), Origin::Folder) => {
                Ok(Found::new(origin, load_directory(folder).map_err(failed)?, None))
            }
            (Self::Repository(repo), Origin::Revision(revision)) => {
                let loaded = repo.load(&revision).map_err(&failed)?;
                let allowance = Allowed::by(repo, &revision).map_err(&failed)?.removals;
                Ok(Found::new(origin, loaded, allowance))
            }
            (source, _) => Err(SourceError::NoHistory { path: source.path() }),
        }
    }

    /// Reads the state at `revision` as a change of the one at `base`: where two files claim the same, the finding stands at the file that
    /// the change brings in.
    pub fn find_change(&mut self, base: &Settled, revision: &str) -> Result<Found, SourceError> {
        let failed = self.failed();
        let (Self::Repository(repo), Origin::Revision(base)) = (&mut *self, base.revision) else {
            return self.find(Some(revision));
        };
        let revision = repo.resolve(revision).map_err(&failed)?;
        let loaded = repo.load_change(&base, &revision).map_err(&failed)?;
        let allowance = Allowed::by(repo, &revision).map_err(&failed)?.removals;
        Ok(Found::new(revision.into(), loaded, allowance))
    }

    /// The names at a place that not every system can hold: of pages too, and of whatever else lies there.
    pub fn bad_names(&self, origin: Origin) -> Result<Vec<BadName>, SourceError> {
        let found = match (self, origin) {
            (Self::Repository(repo), Origin::Revision(revision)) => repo.bad_names_at(&revision),
            (source, _) => bad_names_below(&source.path()),
        };
        found.map_err(self.failed())
    }

    /// The last revision of which every change succeeded, and its state; `None` when there was none, or it can't be
    /// read any more.
    pub fn applied(&mut self) -> Option<Settled> {
        let Self::Repository(repo) = self else { return None };
        let revision = repo.resolve(APPLIED).ok()?;
        let state = repo.load(&revision).ok()?.state.ok()?;
        Some(Settled { revision: revision.into(), state, allowance: None })
    }

    /// Remembers that every change of a revision succeeded. A plain folder remembers nothing.
    pub fn mark_applied(&self, origin: Origin) -> Result<(), SourceError> {
        let (Self::Repository(repo), Origin::Revision(revision)) = (self, origin) else { return Ok(()) };
        repo.mark(APPLIED, &revision).map_err(self.failed())
    }

    /// Writes down whose the ids of a state are that comes into force, and those of removed servers whose data is `kept`. A plain
    /// folder has no place for it.
    pub fn keep_ids(
        &self,
        settled: &Settled,
        kept: impl IntoIterator<Item = (ServerId, UserName)>,
    ) -> Result<(), SourceError> {
        let (Self::Repository(repo), Origin::Revision(revision)) = (self, settled.revision) else {
            return Ok(());
        };
        let failed = self.failed();
        let before = repo.kept_ids().map_err(&failed)?;
        let mut ids = match &before {
            Some(before) => before.clone(),
            None => repo.ids(&revision).map_err(&failed)?,
        };
        ids.learn(&settled.state, kept);
        if before.as_ref() == Some(&ids) {
            return Ok(());
        }
        repo.keep_ids(&ids, &Signature::now("Berth", "berth@localhost")).map_err(failed)
    }

    /// Writes down which names a state has that comes into force, for which the CA may be asked from now on. A plain folder has no
    /// place for it.
    pub fn keep_certificates(&self, settled: &Settled) -> Result<(), SourceError> {
        let Self::Repository(repo) = self else { return Ok(()) };
        let failed = self.failed();
        let before = repo.kept_certificates().map_err(&failed)?;
        let mut certificates =
            before.clone().unwrap_or_else(|| CertificateRegister::beginning_with(&settled.state));
        certificates.learn(&settled.state, SystemTime::now());
        if before.as_ref() == Some(&certificates) {
            return Ok(());
        }
        repo.keep_certificates(&certificates, &Signature::now("Berth", "berth@localhost")).map_err(failed)
    }

    /// The note of a revision. A plain folder has no notes.
    pub fn noted(&self, origin: Origin) -> Result<Option<Note>, SourceError> {
        let (Self::Repository(repo), Origin::Revision(revision)) = (self, origin) else { return Ok(None) };
        let text = repo.note(&revision).map_err(self.failed())?;
        Ok(text.and_then(|text| Note::parse(&text)))
    }

    /// Writes the note of a revision.
    pub fn note(&self, origin: Origin, note: &Note) -> Result<(), SourceError> {
        let (Self::Repository(repo), Origin::Revision(revision)) = (self, origin) else { return Ok(()) };
        let by = Signature::now("Berth", "berth@localhost");
        let mut written = repo.write_note(&revision, &by, &note.text());
        // Somebody else who notes something at the same moment, such as a person with `git notes`, gets ahead.
        for _ in 1..NOTE_ATTEMPTS {
            if written.is_ok() {
                break;
            }
            written = repo.write_note(&revision, &by, &note.text());
        }
        written.map_err(self.failed())
    }

    fn failed(&self) -> impl Fn(berth_repo::Error) -> SourceError + use<> {
        let path = self.path();
        move |source| SourceError::Read { path: path.clone(), source }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Repository(repo) => repo.git_dir().to_owned(),
            Self::Folder(path) => path.clone(),
        }
    }
}
