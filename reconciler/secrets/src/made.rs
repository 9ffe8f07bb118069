//! Secrets that this host makes for itself: 32 random bytes in a file that only its owner reads, made once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use crate::file::{self, FileError};

/// Bytes of a secret.
const LENGTH: usize = 32;
/// Bytes of a file that are looked at.
const LONGEST: usize = 1024;

/// A secret.
pub type Secret = Zeroizing<[u8; LENGTH]>;

/// A secret that can't be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MadeError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "cannot use {}: it is damaged (it should be 64 hexadecimal digits). Put it back from a backup, or remove it, so that \
         another is made", path.display()
    )]
    Damaged { path: PathBuf },
}

/// The secret in this file, which is made when there is none.
pub fn open(path: &Path) -> Result<Secret, MadeError> {
    if let Some(found) = find(path)? {
        return Ok(found);
    }
    make(path)?;
    // Another process may have been first: what is there now is what counts.
    let gone = || io::Error::new(io::ErrorKind::NotFound, "it is gone again");
    find(path)?.ok_or_else(|| FileError::io("read", path)(gone()).into())
}

/// The secret in this file, if there is one.
pub fn find(path: &Path) -> Result<Option<Secret>, MadeError> {
    let Some(text) = file::read(path, LONGEST)? else { return Ok(None) };
    decode(text.trim_ascii()).map(Some).ok_or_else(|| MadeError::Damaged { path: path.to_owned() })
}

/// A secret as it is written.
pub fn written(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes the file; one that is there already stays.
fn make(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    file::make_above(folder)?;
    fs::create_dir_all(folder).map_err(FileError::io("make", folder))?;
    let mut secret = Zeroizing::new([0; LENGTH]);
    let mut filled = 0;
    while filled < LENGTH {
        let rest = secret.get_mut(filled..).unwrap_or_default();
        let got = getrandom(rest, GetRandomFlags::empty());
        filled += got.map_err(|error| FileError::io("make", path)(error.into()))?;
    }
    let line = Zeroizing::new([written(&secret).as_str(), "\n"].concat());
    file::create(path, line.as_bytes())
}

fn decode(text: &[u8]) -> Option<Secret> {
    if text.len() != 2 * LENGTH {
        return None;
    }
    let mut secret = Zeroizing::new([0; LENGTH]);
    for (byte, digits) in secret.iter_mut().zip(text.chunks(2)) {
        let digits: Option<Vec<u32>> = digits.iter().map(|digit| char::from(*digit).to_digit(16)).collect();
        *byte = digits?.into_iter().fold(0, |value, digit| value * 16 + digit).try_into().ok()?;
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn it_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/secret");
        assert!(find(&path).unwrap().is_none());
        let first = open(&path).unwrap();
        assert_eq!(open(&path).unwrap(), first);
        assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), written(&first).as_str());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        // Nothing is left of making it.
        assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 1);
        assert_ne!(open(&folder.path().join("other")).unwrap(), first);
    }

    #[test]
    fn others_pass_through_the_folders_above() {
        let folder = tempfile::tempdir().unwrap();
        let above = folder.path().join("lib/berth");
        open(&above.join("data/secret")).unwrap();
        for path in [&above, &folder.path().join("lib")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o711);
        }
    }

    #[test]
    fn many_at_once_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let all: Vec<Secret> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| open(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.windows(2).all(|two| two[0] == two[1]));
    }

    #[test]
    fn what_is_damaged_or_open_to_others_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let good = "ab".repeat(32);
        let write = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for bad in ["", "ab", &good[1..], &format!("{good}00"), &"+a".repeat(32), &"é".repeat(32)] {
            write(bad, 0o600);
            let error = open(&path).unwrap_err();
            assert!(matches!(error, MadeError::Damaged { .. }), "{bad}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        write(&good, 0o640);
        assert!(matches!(open(&path), Err(MadeError::File(FileError::Open { mode: 0o640, .. }))));
        write(&good, 0o600);
        assert_eq!(open(&path).unwrap()[..], [0xab; 32]);
    }
}
