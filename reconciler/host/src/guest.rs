//! Sockets and files in a folder that one container sees, for that container's root alone.
//!
//! The folder's owner may be a container's hostile root: nothing that lies in it is followed, changed or trusted.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::StagedSocket;
use crate::file::read_foreign;

/// Place of such a socket, and what was made there.
#[derive(Debug)]
pub struct GuestSocket {
    folder: PathBuf,
    path: PathBuf,
    made: Option<Made>,
}

/// Identity of our socket, and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    device: u64,
    inode: u64,
    owner: u32,
}

impl GuestSocket {
    /// A socket to be made as `name` in the folder.
    pub fn at(folder: &Path, name: &str) -> Self {
        Self { folder: folder.to_owned(), path: folder.join(name), made: None }
    }

    /// Path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the socket has to be made: it isn't there, or its folder has another owner than it by now. The engine makes
    /// the folder anew after a restart of the host.
    pub fn is_lost(&self) -> bool {
        let Some(made) = self.made else { return true };
        found(&self.path).ok() != Some(made) || self.owner().ok() != Some(made.owner)
    }

    /// Makes the socket in its folder, which must be there, and returns its listener, which doesn't block. It is made beside the
    /// folder and moved in whole, so that it is never open to anybody else, and so that nothing which lies in the folder is touched
    /// but by name.
    pub fn make(&mut self) -> io::Result<UnixListener> {
        let owner = self.owner()?;
        let socket = StagedSocket::make(self.folder.parent().unwrap_or(&self.folder))?;
        if fs::symlink_metadata(socket.path())?.uid() != owner {
            lchown(socket.path(), Some(owner), None)?;
        }
        let made = found(socket.path())?;
        let listener = socket.put(&self.path)?;
        self.made = Some(made);
        Ok(listener)
    }

    /// Owner of the folder itself, who may connect. A link in its place is nobody's folder.
    pub fn owner(&self) -> io::Result<u32> {
        owner(&self.folder)
    }

    /// Takes the socket away, if it is ours still.
    pub fn remove(&self) {
        if self.made.is_some() && found(&self.path).ok() == self.made {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file in such a folder.
#[derive(Debug)]
pub struct GuestFile {
    folder: PathBuf,
    path: PathBuf,
}

impl GuestFile {
    /// A file `name` in the folder.
    pub fn at(folder: &Path, name: &str) -> Self {
        Self { folder: folder.to_owned(), path: folder.join(name) }
    }

    /// Keeps the file with this content, or keeps it away. One that is right stays as it is; a folder that isn't there yet gets none.
    /// The file is made beside the folder and moved in whole, so that nothing which lies in the folder is touched but by name.
    pub fn keep(&self, content: Option<&[u8]>) -> io::Result<()> {
        let owner = match owner(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            owner => owner?,
        };
        let Some(content) = content else {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
        };
        let is_theirs = || fs::symlink_metadata(&self.path).is_ok_and(|found| found.uid() == owner);
        if is_theirs() && read_foreign(&self.path, content.len() as u64).is_ok_and(|there| there == content) {
            return Ok(());
        }
        let beside = self.folder.parent().unwrap_or(&self.folder);
        let mut file = tempfile::Builder::new().prefix(".next-").tempfile_in(beside)?;
        file.write_all(content)?;
        if file.as_file().metadata()?.uid() != owner {
            fchown(file.as_file(), Some(owner), None)?;
        }
        file.as_file().set_permissions(Permissions::from_mode(0o600))?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn owner(folder: &Path) -> io::Result<u32> {
    let found = fs::symlink_metadata(folder)?;
    match found.is_dir() {
        true => Ok(found.uid()),
        false => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder")),
    }
}

fn found(path: &Path) -> io::Result<Made> {
    let found = fs::symlink_metadata(path)?;
    Ok(Made { device: found.dev(), inode: found.ino(), owner: found.uid() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_is_lost_with_its_folder_and_made_in_the_next_one() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("demo");
        let mut socket = GuestSocket::at(&folder, "edge.sock");
        assert!(socket.is_lost());
        // Nobody but the engine knows whose the folder is.
        assert_eq!(socket.make().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&folder).unwrap();
        let _first = socket.make().unwrap();
        assert!(!socket.is_lost());
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        assert!(socket.is_lost());
        let _second = socket.make().unwrap();
        assert_eq!(fs::symlink_metadata(socket.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside the folder");
        socket.remove();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_kept_whole_and_kept_away() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("demo");
        let file = GuestFile::at(&folder, "a.pem");
        file.keep(Some(b"one")).unwrap();
        assert!(!folder.exists(), "only the engine makes it");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("a.pem");
        // What lies there leads nowhere.
        symlink(home.path().join("elsewhere"), &path).unwrap();
        file.keep(Some(b"one")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert!(!home.path().join("elsewhere").exists());
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
        let before = fs::symlink_metadata(&path).unwrap().ino();
        file.keep(Some(b"one")).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before, "it was right");
        file.keep(Some(b"longer")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"longer");
        file.keep(None).unwrap();
        file.keep(None).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside the folder");
    }

    #[test]
    fn a_link_in_the_folder_s_place_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("demo");
        symlink(home.path(), &folder).unwrap();
        assert_eq!(GuestSocket::at(&folder, "s").make().unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
