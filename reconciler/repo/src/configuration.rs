//! The settings of a repository, read and changed where git keeps them.

use std::path::{Path, PathBuf};

use git2::{Config, ErrorCode};

use crate::Error;
use crate::source::Opening;

/// The settings of one repository, with those of its user and of the machine behind them.
pub struct Configuration {
    git_dir: PathBuf,
    config: Config,
}

impl Configuration {
    /// Opens the settings of the repository with this git folder.
    pub fn of(git_dir: &Path) -> Result<Self, Error> {
        let opening = Opening { git_dir: git_dir.to_owned(), quarantine: None };
        let config = opening.open()?.config();
        let config = config.map_err(|source| Error::Open { path: git_dir.to_owned(), source })?;
        Ok(Self { git_dir: git_dir.to_owned(), config })
    }

    /// The value of a setting; `None` where nothing sets it.
    pub fn get(&self, name: &'static str) -> Result<Option<String>, Error> {
        self.found(name, self.config.get_string(name))
    }

    /// The path that a setting holds, in which `~` may stand for somebody's home.
    pub fn path(&self, name: &'static str) -> Result<Option<PathBuf>, Error> {
        self.found(name, self.config.get_path(name))
    }

    /// Makes a setting of the repository itself.
    pub fn set(&mut self, name: &'static str, value: &str) -> Result<(), Error> {
        self.config.set_str(name, value).map_err(|source| self.failed(name, source))
    }

    fn found<T>(&self, name: &'static str, value: Result<T, git2::Error>) -> Result<Option<T>, Error> {
        match value {
            Ok(value) => Ok(Some(value)),
            Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(self.failed(name, source)),
        }
    }

    fn failed(&self, name: &'static str, source: git2::Error) -> Error {
        Error::Setting { name, path: self.git_dir.clone(), source }
    }
}
