//! Secrets from before there was one folder for them: files in `<data>/remote`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_schema::secret::SecretName;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::file::FileError;
use crate::named::Secrets;

/// A file that can't be moved into the folder of secrets.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MoveError {
    #[error(
        "cannot move {} to {}, where there is another: remove the one that is out of date", from.display(), to.display()
    )]
    Both { from: PathBuf, to: PathBuf },
    #[error(transparent)]
    File(#[from] FileError),
}

/// Moves the file `from` into its place as the secret `name`, and returns that place; `None` where there is no such file.
/// The value is in one of the two places at every moment.
pub fn adopt(secrets: &Secrets, from: &Path, name: &SecretName) -> Result<Option<PathBuf>, MoveError> {
    match fs::symlink_metadata(from) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("read", from)(error).into()),
    }
    secrets.make()?;
    let to = secrets.path(name);
    match renameat_with(CWD, from, CWD, &to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Some(to)),
        // Another process has just moved it.
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::EXIST) => Err(MoveError::Both { from: from.to_owned(), to }),
        Err(error) => Err(FileError::io("move", from)(error.into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_moves_once_and_over_nothing() {
        let data = tempfile::tempdir().unwrap();
        let (secrets, from) = (Secrets::of(data.path()), data.path().join("token"));
        let name: SecretName = "forge-token".parse().unwrap();
        assert_eq!(adopt(&secrets, &from, &name).unwrap(), None);
        fs::write(&from, "first\n").unwrap();
        assert_eq!(adopt(&secrets, &from, &name).unwrap(), Some(secrets.path(&name)));
        assert!(!from.exists());
        assert_eq!(fs::read_to_string(secrets.path(&name)).unwrap(), "first\n");
        fs::write(&from, "second\n").unwrap();
        assert!(matches!(adopt(&secrets, &from, &name), Err(MoveError::Both { .. })));
        assert_eq!(fs::read_to_string(&from).unwrap(), "second\n");
        assert_eq!(fs::read_to_string(secrets.path(&name)).unwrap(), "first\n");
    }
}
