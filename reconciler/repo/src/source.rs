//! Sources of state, and the place of a repository's own folder.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{Config, Odb, Repository};

use crate::Error;

/// Kind of place that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A bare repository, or the `.git` folder of another.
    Bare,
    /// A repository with files beside it.
    WorkTree {
        /// Its git folder.
        git_dir: PathBuf,
    },
    /// Files without history.
    Directory,
}

impl Source {
    /// Looks at `path` itself; parents are not searched, because state is named, not stumbled upon.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let dot_git = path.join(".git");
        if dot_git.is_dir() {
            return Ok(Self::WorkTree { git_dir: dot_git });
        }
        if let Ok(text) = fs::read_to_string(&dot_git) {
            // A linked work tree keeps its git folder elsewhere and says so in one line.
            let target = text.strip_prefix("gitdir:").map(str::trim);
            let target = target.ok_or_else(|| Error::NotARepository { path: path.to_owned() })?;
            return Ok(Self::WorkTree { git_dir: path.join(target) });
        }
        if path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir() {
            return Ok(Self::Bare);
        }
        match path.is_dir() {
            true => Ok(Self::Directory),
            false if path.exists() => Err(Error::NotAFolder { path: path.to_owned() }),
            false => Err(Error::Missing { path: path.to_owned() }),
        }
    }
}

/// The paths by which a repository was opened, so that reader threads can open it the same way.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) git_dir: PathBuf,
    /// Folder in which git keeps the objects of a push until its hooks have accepted it.
    pub(crate) quarantine: Option<PathBuf>,
}

impl Opening {
    pub(crate) fn open(&self) -> Result<Repository, Error> {
        // `open_bare` alone doesn't ask who owns the folder: Berth's processes run as users of their own, and the path is
        // the operator's choice, not a folder that somebody happened to stand in.
        let repository = Repository::open_bare(&self.git_dir).map_err(|source| self.explain(source))?;
        if let Some(path) = &self.quarantine {
            let unreadable = |source| Error::OpenQuarantine { path: path.clone(), source };
            let objects = repository.odb().map_err(unreadable)?;
            read_too(&objects, path).map_err(unreadable)?;
        }
        Ok(repository)
    }

    /// Names a foreign format, which libgit2 reports as a broken configuration.
    fn explain(&self, source: git2::Error) -> Error {
        let path = self.git_dir.clone();
        let config = Config::open(&path.join("config"));
        let extension = |name| config.as_ref().ok().and_then(|config| config.get_string(name).ok());
        if let Some(format) = extension("extensions.objectformat").filter(|format| format != "sha1") {
            return Error::Unsupported { path, feature: format!("{} object ids", format.to_uppercase()) };
        }
        if let Some(format) = extension("extensions.refstorage").filter(|format| format != "files") {
            return Error::Unsupported { path, feature: format!("the {format} ref format") };
        }
        match source.code() {
            git2::ErrorCode::NotFound => Error::NotARepository { path },
            _ => Error::Open { path, source },
        }
    }
}

/// Lets these objects be read in `folder` too, for as long as they are open.
pub(crate) fn read_too(objects: &Odb<'_>, folder: &Path) -> Result<(), git2::Error> {
    let path = folder.to_str().ok_or_else(|| git2::Error::from_str("the path is not UTF-8"))?;
    objects.add_disk_alternate(path)
}
