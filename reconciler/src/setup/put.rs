//! Putting a merged file in place: as a whole, with a copy of what it was, and only if nobody changed it meanwhile.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use berth_host::file::replace;

/// A file that was not replaced.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum PutError {
    /// The file is not what was read and merged.
    #[error("cannot replace {}: it changed while its new content was being decided; look again", path.display())]
    Changed { path: PathBuf },
    /// The file or its folder could not be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The copy of the old content could not be made, so the file was left alone.
    #[error("cannot keep a copy of {}", path.display())]
    Copy { path: PathBuf, source: io::Error },
    /// The new content could not be put in place.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Replaces `path`, whose content was `before` (`None`: it did not exist), by `text`. Returns where the copy of the old
/// content is. A symbolic link stays one: what it points to is replaced.
pub fn put(path: &Path, before: Option<&str>, text: &str) -> Result<Option<PathBuf>, PutError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let read = |source| PutError::Read { path: target.clone(), source };
    let write = |source| PutError::Write { path: target.clone(), source };
    let found = match fs::read_to_string(&target) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(read(error)),
    };
    if found.as_deref() != before {
        return Err(PutError::Changed { path: target });
    }
    let folder = target.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(write)?;
    let copy = match &found {
        Some(found) => {
            Some(keep(&target, found).map_err(|source| PutError::Copy { path: target.clone(), source })?)
        }
        None => None,
    };
    let mode = fs::metadata(&target).map_or(0o644, |old| old.permissions().mode() & 0o7777);
    replace(&target, text.as_bytes(), mode).map_err(write)?;
    Ok(copy)
}

/// Copies the old content to the first free name `<file>.before-berth[.n]`.
fn keep(target: &Path, content: &str) -> io::Result<PathBuf> {
    let mut number = 0_u32;
    loop {
        let suffix = if number == 0 { ".before-berth".to_owned() } else { format!(".before-berth.{number}") };
        let mut name = target.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(content.as_bytes())?;
                file.set_permissions(fs::metadata(target)?.permissions())?;
                file.sync_all()?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1_000 => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_new_file_has_no_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker/daemon.json");
        assert_eq!(put(&path, None, "{}\n").expect("put"), None);
        assert_eq!(fs::read_to_string(&path).expect("text"), "{}\n");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn every_replacement_keeps_a_copy_and_the_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("daemon.json");
        fs::write(&path, "one").expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
        let first = put(&path, Some("one"), "two").expect("put").expect("a copy");
        let second = put(&path, Some("two"), "three").expect("put").expect("a copy");
        assert_eq!(fs::read_to_string(&first).expect("text"), "one");
        assert_eq!(fs::read_to_string(&second).expect("text"), "two");
        assert_ne!(first, second);
        for file in [&path, &first, &second] {
            assert_eq!(fs::metadata(file).expect("metadata").permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("daemon.json");
        fs::write(&path, "theirs").expect("write");
        for before in [None, Some("ours")] {
            assert!(matches!(put(&path, before, "new"), Err(PutError::Changed { .. })));
        }
        assert_eq!(fs::read_dir(folder.path()).expect("entries").count(), 1);
        assert_eq!(fs::read_to_string(&path).expect("text"), "theirs");
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("real.json");
        let link = folder.path().join("daemon.json");
        fs::write(&real, "one").expect("write");
        symlink(&real, &link).expect("a link");
        put(&link, Some("one"), "two").expect("put");
        assert!(fs::symlink_metadata(&link).expect("metadata").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("text"), "two");
    }
}
