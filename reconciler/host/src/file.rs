//! Files that are replaced as a whole: a reader sees the old content or the new, and a loss of power loses neither.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::Owner;

/// Puts `content` at `path` in one step, with this mode whatever the umask is. A symbolic link there is replaced, not
/// followed.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    write(path, content, mode, None)?.persist(path)?;
    keep_names(folder_of(path))
}

/// Does the same for a file that is only of use to processes that run now: a loss of power may lose it, or its content.
pub fn replace_for_now(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    made(path, content, mode, None)?.persist(path)?;
    Ok(())
}

/// Does what [`replace`] does with a file that belongs to somebody else.
pub fn replace_for(path: &Path, content: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
    write(path, content, mode, Some(owner))?.persist(path)?;
    keep_names(folder_of(path))
}

/// Puts `content` at `path` in one step unless something is there, and returns whether it did.
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    match write(path, content, mode, None)?.persist_noclobber(path) {
        Ok(_) => keep_names(folder_of(path)).map(|()| true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// Renames a file within its folder, for good.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    keep_names(folder_of(to))
}

/// Reads a file that somebody else may have put there to do harm: a link isn't followed, a pipe isn't waited for, and a file of
/// more than `longest` bytes is refused. The folder has to be one that they can't replace.
pub fn read_foreign(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut content = Vec::new();
    file.take(longest + 1).read_to_end(&mut content)?;
    match content.len() as u64 > longest {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long")),
        false => Ok(content),
    }
}

/// Makes a folder for its owner alone, in one that somebody else may write to. Fails where something else is there, such as a link.
pub fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_folder(path),
        made => made,
    }
}

/// Checks that a folder is there and no link to one, which might lead anywhere.
pub fn check_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => Ok(()),
        false => {
            let why = format!("{} has to be a folder itself, not a link or a file", path.display());
            Err(io::Error::new(io::ErrorKind::NotADirectory, why))
        }
    }
}

fn write(path: &Path, content: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<NamedTempFile> {
    let file = made(path, content, mode, owner)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn made(path: &Path, content: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<NamedTempFile> {
    // Nobody else may read it before it has its own mode: `tempfile` makes it with 0600.
    let mut file = tempfile::Builder::new().prefix(".next-").tempfile_in(folder_of(path))?;
    file.write_all(content)?;
    if let Some(Owner { uid, gid }) = owner {
        fchown(file.as_file(), Some(uid), Some(gid))?;
    }
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Forces the names in a folder to disk.
fn keep_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (content, mode) in [("one", 0o600), ("two", 0o755), ("", 0o640)] {
            replace(&path, content.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("file"), folder.path().join("target"));
        fs::write(&target, "theirs").unwrap();
        symlink(&target, &path).unwrap();
        replace(&path, b"ours", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_foreign_file_is_read_if_it_is_one_and_short() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let read = |name: &str| read_foreign(&at(name), 4);
        fs::write(at("file"), "four").unwrap();
        assert_eq!(read("file").unwrap(), b"four");
        fs::write(at("long"), "fives").unwrap();
        assert_eq!(read("long").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        symlink(at("file"), at("link")).unwrap();
        assert!(read("link").is_err());
        // Nobody writes to it; a reader that waits would wait for ever.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(read("pipe").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(read("").is_err());
    }

    #[test]
    fn what_is_there_is_not_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(create(&path, b"one", 0o600).unwrap());
        assert!(!create(&path, b"two", 0o600).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_a_folder_is_in_the_current_one() {
        assert_eq!(folder_of(Path::new("file")), Path::new("."));
        assert_eq!(folder_of(Path::new("/file")), Path::new("/"));
    }

    #[test]
    fn what_can_t_be_put_in_place_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("path/inside")).unwrap();
        assert!(replace(&folder.path().join("path"), b"", 0o600).is_err());
        assert!(replace(&folder.path().join("missing/path"), b"", 0o600).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
