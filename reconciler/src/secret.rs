//! Secrets that this host makes for itself: 32 random bytes in a file that only its owner reads, made once.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Bytes of a secret.
const LENGTH: usize = 32;

/// A secret.
pub type Secret = Zeroizing<[u8; LENGTH]>;

/// A secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file can't be read or written.
    #[error("{act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others on this machine may read it.
    #[error(
        "{} is a secret, and others on this machine can read it (mode {mode:o}): `chmod 600` it; if one of them may have, \
         remove it, so that another is made", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds something else.
    #[error(
        "{} is damaged (it should be 64 hexadecimal digits): put it back from a backup, or remove it, so that another is \
         made", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The secret in this file, which is made when there is none.
pub fn open(path: &Path) -> Result<Secret, SecretError> {
    if let Some(found) = find(path)? {
        return Ok(found);
    }
    make(path).map_err(|source| SecretError::File { act: "make", path: path.to_owned(), source })?;
    // Another process may have been first: what is there now is what counts.
    let gone = || io::Error::new(io::ErrorKind::NotFound, "it is gone again");
    find(path)?.ok_or_else(|| SecretError::File { act: "read", path: path.to_owned(), source: gone() })
}

/// The secret in this file, if there is one.
pub fn find(path: &Path) -> Result<Option<Secret>, SecretError> {
    let failed = |source| SecretError::File { act: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Open { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(1024).read_to_end(&mut text).map_err(failed)?;
    decode(text.trim_ascii()).map(Some).ok_or_else(|| SecretError::Damaged { path: path.to_owned() })
}

/// A secret as it is written.
pub fn written(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes the file, whole or not at all; one that is there already stays.
fn make(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut secret = Zeroizing::new([0; LENGTH]);
    let mut filled = 0;
    while filled < LENGTH {
        let rest = secret.get_mut(filled..).unwrap_or_default();
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    let mut file = tempfile::Builder::new().prefix(".secret").tempfile_in(folder)?;
    file.write_all(written(&secret).as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
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
    use std::os::unix::fs::MetadataExt as _;

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
            assert!(matches!(error, SecretError::Damaged { .. }), "{bad}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        write(&good, 0o640);
        assert!(matches!(open(&path), Err(SecretError::Open { mode: 0o640, .. })));
        write(&good, 0o600);
        assert_eq!(open(&path).unwrap()[..], [0xab; 32]);
    }
}
