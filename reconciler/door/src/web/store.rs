//! `<data>/door`: what the panel's door keeps of its own, for its user alone.
//!
//! Owns the folder and how a record in it is read and written. A command of root's works as whoever owns `door` itself, which lies in Berth's
//! own folder: what is in it is somebody else's, who may have put a link there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_fault::{Fault, Kind};
use berth_host::{Acting, Owner, file};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::FOLDER;

/// The door's own files can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}", path.display())]
pub struct StoreError {
    act: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl StoreError {
    pub(crate) fn of(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { act, path: path.to_owned(), source }
    }
}

impl Fault for StoreError {
    fn kind(&self) -> Kind {
        Kind::Configuration
    }

    fn hint(&self) -> Option<&'static str> {
        Some("the folder `door` in Berth's data has to belong to the user that `berth git` runs as")
    }
}

/// A folder of the door's own.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// The door's folder itself, whose owner owns everything in it.
    door: PathBuf,
    folder: PathBuf,
}

impl Store {
    /// The folder in Berth's folder `data`, which is made if it isn't there.
    pub(crate) fn open(data: &Path) -> Result<Self, StoreError> {
        let path = data.join(FOLDER);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(StoreError::of("make", &path))?;
        Ok(Self { door: path.clone(), folder: path })
    }

    /// A folder in it.
    pub(crate) fn folder(&self, name: &str) -> Result<Self, StoreError> {
        let path = self.folder.join(name);
        let _acting = self.act()?;
        file::make_folder(&path).map_err(StoreError::of("make", &path))?;
        Ok(Self { door: self.door.clone(), folder: path })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Lets this thread act as the owner of the door's folder. Fails where this one isn't a folder any more.
    pub(crate) fn act(&self) -> Result<Acting, StoreError> {
        let acting = Owner::of(&self.door).and_then(Owner::act);
        let acting = acting.map_err(StoreError::of("write to", &self.door))?;
        if self.folder != self.door {
            file::check_folder(&self.folder).map_err(StoreError::of("write to", &self.folder))?;
        }
        Ok(acting)
    }

    /// Reads a record; `None` where there is none, or one that makes no sense, which is told in the log.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let path = self.path(name);
        let _acting = self.act()?;
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::of("read", &path)(error)),
        };
        match serde_json::from_slice(&text) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a record makes no sense; it counts as none");
                Ok(None)
            }
        }
    }

    /// Writes a record, for good.
    pub(crate) fn write(&self, name: &str, record: &impl Serialize) -> Result<(), StoreError> {
        let path = self.path(name);
        let failed = StoreError::of("write", &path);
        let _acting = self.act()?;
        let written = serde_json::to_vec(record).map_err(io::Error::other);
        written.and_then(|text| file::replace(&path, &text, 0o600)).map_err(failed)
    }

    /// Removes a record, and returns whether it was there.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.path(name);
        let _acting = self.act()?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::of("remove", &path)(error)),
        }
    }

    /// Names of the records.
    pub(crate) fn names(&self) -> Result<Vec<String>, StoreError> {
        let failed = || StoreError::of("read", &self.folder);
        let _acting = self.act()?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            // Others are no record's: the rest of a crash.
            names.extend(name.to_str().filter(|name| name.ends_with(".json")).map(str::to_owned));
        }
        Ok(names)
    }
}
