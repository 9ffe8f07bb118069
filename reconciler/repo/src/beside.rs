//! A repository beside another one's objects: it reads them, and keeps what it writes to itself.

use std::path::Path;
use std::{fs, io};

use git2::{Repository, RepositoryInitOptions};

use crate::source::Opening;
use crate::{Error, StateRepo};

/// Makes an empty bare repository.
pub(crate) fn make(path: &Path) -> Result<Repository, git2::Error> {
    let mut options = RepositoryInitOptions::new();
    // No template: the hooks and settings of whoever runs this are not the platform's.
    options.bare(true).external_template(false).initial_head("main");
    Repository::init_opts(path, &options)
}

impl StateRepo {
    /// Makes a bare repository at `path` that reads every object of this one, as git does there too. Objects of a push that
    /// isn't accepted yet are among them.
    pub fn beside(&self, path: &Path) -> Result<Self, Error> {
        make(path).map_err(|source| Error::Init { path: path.to_owned(), source })?;
        let own = self.repository.commondir().join("objects");
        let folders = [Some(own.as_path()), self.opening.quarantine.as_deref()];
        write_alternates(path, folders.into_iter().flatten())
            .map_err(|source| Error::Scratch { path: path.to_owned(), source })?;
        // The same objects are there, so whatever was read of them needs no reading again.
        let (memory, kept_at) = (self.memory.apart(), self.kept_at.clone());
        Ok(Self { memory, kept_at, ..Self::open_as(Opening { git_dir: path.to_owned(), quarantine: None })? })
    }
}

fn write_alternates<'f>(git_dir: &Path, folders: impl Iterator<Item = &'f Path>) -> io::Result<()> {
    let mut lines = Vec::new();
    for folder in folders {
        lines.extend_from_slice(fs::canonicalize(folder)?.as_os_str().as_encoded_bytes());
        lines.push(b'\n');
    }
    let info = git_dir.join("objects/info");
    fs::create_dir_all(&info)?;
    fs::write(info.join("alternates"), lines)
}
