//! `<data>/secrets`: secrets that people store by name.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use berth_schema::secret::{Form, LONGEST, SecretName};
use zeroize::Zeroizing;

use crate::file::{self, FileError};

/// Folder below Berth's data.
const FOLDER: &str = "secrets";

/// The folder of named secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
}

/// A secret that can't be used. Never holds it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SecretError {
    #[error("cannot find the secret `{name}`: `berth secret set {name}` stores it ({wanted})")]
    Missing { name: SecretName, wanted: &'static str },
    #[error("cannot use the secret `{name}`: it is not {wanted}")]
    Unfit { name: SecretName, wanted: &'static str },
    #[error(transparent)]
    File(#[from] FileError),
}

/// A secret that can't be stored.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StoreError {
    #[error("cannot store an empty secret")]
    Empty,
    #[error("cannot store a secret that is not text")]
    NoText,
    #[error("cannot store a secret of more than {} KiB", LONGEST >> 10)]
    TooLong,
    #[error("cannot store that as `{name}`: it is not {wanted}")]
    Unfit { name: SecretName, wanted: &'static str },
    #[error(transparent)]
    File(#[from] FileError),
}

/// A secret that is stored, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Stored {
    pub name: SecretName,
    pub changed: SystemTime,
}

impl SecretError {
    /// Returns whether there is no such secret, which is fine where nothing needs it.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

impl Secrets {
    /// The secrets in Berth's folder `data`.
    pub fn of(data: &Path) -> Self {
        Self { folder: data.join(FOLDER) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of a secret's file, for a program that reads it itself.
    pub fn path(&self, name: &SecretName) -> PathBuf {
        self.folder.join(name.as_str())
    }

    /// A secret's value, without the end of its last line.
    pub fn read(&self, name: &SecretName, form: Form) -> Result<Zeroizing<String>, SecretError> {
        let bytes = file::read(&self.path(name), LONGEST)?;
        let bytes = bytes.ok_or_else(|| SecretError::Missing { name: name.clone(), wanted: form.words() })?;
        let text = std::str::from_utf8(&bytes).ok().map(|text| text.trim_end_matches(['\n', '\r']));
        match text.filter(|text| form.fits(text)) {
            Some(text) => Ok(Zeroizing::new(text.to_owned())),
            None => Err(SecretError::Unfit { name: name.clone(), wanted: form.words() }),
        }
    }

    /// Stores a secret in the place of the one that has its name, if any. Line ends at its end don't count; a form that is
    /// not known is not checked.
    pub fn set(&self, name: &SecretName, value: &[u8], form: Option<Form>) -> Result<(), StoreError> {
        let text = std::str::from_utf8(value).map_err(|_| StoreError::NoText)?.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(StoreError::Empty);
        }
        if text.len() >= LONGEST {
            return Err(StoreError::TooLong);
        }
        if let Some(form) = form.filter(|form| !form.fits(text)) {
            return Err(StoreError::Unfit { name: name.clone(), wanted: form.words() });
        }
        self.make()?;
        // ssh reads no private key whose last line has no end.
        let line = Zeroizing::new([text, "\n"].concat());
        Ok(file::replace(&self.path(name), line.as_bytes())?)
    }

    /// Removes a secret, and returns whether there was one.
    pub fn remove(&self, name: &SecretName) -> Result<bool, FileError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(FileError::io("remove", &path)(error)),
        }
    }

    /// The secrets that are stored, by name.
    pub fn list(&self) -> Result<Vec<Stored>, FileError> {
        let failed = || FileError::io("read", &self.folder);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut stored = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed())?;
            // A file without a secret's name was not stored by us: a key's public half, or the rest of a crash.
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let changed = entry.metadata().and_then(|about| about.modified()).map_err(failed())?;
            stored.push(Stored { name, changed });
        }
        stored.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(stored)
    }

    /// Checks that nobody else can list or change the folder. One that isn't there is fine.
    pub fn check(&self) -> Result<(), FileError> {
        let about = match fs::symlink_metadata(&self.folder) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(FileError::io("read", &self.folder)(error)),
        };
        let path = self.folder.clone();
        let (owner, us) = (about.uid(), rustix::process::geteuid().as_raw());
        match about.mode() & 0o777 {
            _ if !about.is_dir() => Err(FileError::NoFolder { path }),
            _ if owner != us && owner != 0 => Err(FileError::Foreign { path, owner }),
            mode if mode & 0o077 != 0 => Err(FileError::OpenFolder { path, mode }),
            _ => Ok(()),
        }
    }

    /// Makes the folder, readable by nobody else, where there is none.
    pub(crate) fn make(&self) -> Result<(), FileError> {
        if let Some(data) = self.folder.parent() {
            file::make_above(data)?;
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(FileError::io("make", &self.folder))?;
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let data = tempfile::tempdir().unwrap();
        let secrets = Secrets::of(data.path());
        let token = name("forge-token");
        let missing = secrets.read(&token, Form::Token).unwrap_err();
        assert!(matches!(missing, SecretError::Missing { .. }));
        assert!(missing.to_string().contains("`berth secret set forge-token`"), "{missing}");
        secrets.set(&token, b"s3cret\r\n\n", Some(Form::Token)).unwrap();
        assert_eq!(*secrets.read(&token, Form::Token).unwrap(), "s3cret");
        assert_eq!(fs::read(secrets.path(&token)).unwrap(), b"s3cret\n");
        assert_eq!(fs::metadata(secrets.path(&token)).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(data.path().join(FOLDER)).unwrap().mode() & 0o7777, 0o700);
        let unfit = secrets.read(&token, Form::SharedSecret).unwrap_err();
        assert!(matches!(unfit, SecretError::Unfit { .. }) && !unfit.to_string().contains("s3cret"));
        secrets.set(&name("other"), b"two words\nand two lines", None).unwrap();
        let names: Vec<SecretName> = secrets.list().unwrap().into_iter().map(|stored| stored.name).collect();
        assert_eq!(names, [token.clone(), name("other")]);
        assert!(secrets.remove(&token).unwrap() && !secrets.remove(&token).unwrap());
    }

    #[test]
    fn what_is_no_secret_is_not_stored() {
        let data = tempfile::tempdir().unwrap();
        let secrets = Secrets::of(data.path());
        let set = |value: &[u8], form| secrets.set(&name("forge-token"), value, form).unwrap_err();
        assert!(matches!(set(b"", None), StoreError::Empty));
        assert!(matches!(set(b"\n\r\n", None), StoreError::Empty));
        assert!(matches!(set(b"\xff\n", None), StoreError::NoText));
        assert!(matches!(set(&vec![b'a'; LONGEST], None), StoreError::TooLong));
        let unfit = set(b"two words", Some(Form::Token));
        assert!(matches!(unfit, StoreError::Unfit { .. }) && !unfit.to_string().contains("two words"));
        assert!(secrets.list().unwrap().is_empty());
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let secrets = Secrets::of(data.path());
        assert!(matches!(secrets.check(), Err(FileError::OpenFolder { mode: 0o755, .. })));
        assert!(secrets.set(&name("forge-token"), b"s3cret", None).is_err());
    }
}
