//! One file with a secret in it: read whole, or refused.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Mode of every file with a secret.
pub const MODE: u32 = 0o600;

/// A file that can't be read, or must not be trusted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FileError {
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot trust {}: others on this machine can read it (mode {mode:o}). If one of them may have, replace it; \
         otherwise `chmod 600` it", path.display()
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("cannot trust {}: it belongs to another user (uid {owner})", path.display())]
    Foreign { path: PathBuf, owner: u32 },
    #[error("cannot use {}: it is not a plain file", path.display())]
    NoFile { path: PathBuf },
    #[error("cannot use {}: it is larger than any secret", path.display())]
    TooLong { path: PathBuf },
    #[error("cannot use {}: it is not a folder", path.display())]
    NoFolder { path: PathBuf },
    #[error("cannot trust {}: others on this machine can enter it (mode {mode:o}): `chmod 700` it", path.display())]
    OpenFolder { path: PathBuf, mode: u32 },
}

impl FileError {
    pub(crate) fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { act, path, source }
    }
}

/// The bytes of a file that only its owner reads, at most `longest` of them; `None` where there is no file.
pub fn read(path: &Path, longest: usize) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let Some((file, length)) = open(path)? else { return Ok(None) };
    if length > longest as u64 {
        return Err(FileError::TooLong { path: path.to_owned() });
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(longest + 1));
    file.take(longest as u64 + 1).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    match bytes.len() > longest {
        true => Err(FileError::TooLong { path: path.to_owned() }),
        false => Ok(Some(bytes)),
    }
}

/// The file and its length, once it is known to be its owner's alone.
fn open(path: &Path) -> Result<Option<(File, u64)>, FileError> {
    // A pipe is not waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("read", path)(error)),
    };
    let about = file.metadata().map_err(FileError::io("read", path))?;
    if !about.is_file() {
        return Err(FileError::NoFile { path: path.to_owned() });
    }
    let (owner, us) = (about.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        return Err(FileError::Foreign { path: path.to_owned(), owner });
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    Ok(Some((file, about.len())))
}

/// Writes a file in the place of the one that is there, if any.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), FileError> {
    berth_host::file::replace(path, text, MODE).map_err(FileError::io("write", path))
}

/// Writes a file unless one is there.
pub(crate) fn create(path: &Path, text: &[u8]) -> Result<(), FileError> {
    berth_host::file::create(path, text, MODE).map(drop).map_err(FileError::io("write", path))
}

/// Makes the folders above one that is Berth's own. Other users pass through them, such as the panel's to its data.
pub(crate) fn make_above(folder: &Path) -> Result<(), FileError> {
    folder.parent().map_or(Ok(()), berth_host::make_passage).map_err(FileError::io("make", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_its_owner_s_alone_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(read(&path, 10).unwrap().is_none());
        replace(&path, b"abc").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, MODE);
        assert_eq!(read(&path, 3).unwrap().unwrap().as_slice(), b"abc");
        assert!(matches!(read(&path, 2), Err(FileError::TooLong { .. })));
        create(&path, b"other").unwrap();
        assert_eq!(read(&path, 10).unwrap().unwrap().as_slice(), b"abc");
        for mode in [0o640, 0o604, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path, 10).unwrap_err();
            assert!(matches!(error, FileError::Open { mode: found, .. } if found == mode), "{error}");
            assert!(!error.to_string().contains("abc"));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of writing it");
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path(), 10), Err(FileError::NoFile { .. })));
    }
}
