//! A Unix socket that is at no moment open to anybody but its owner.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A listening socket of mode 0600, made in a folder that nobody else may enter and not yet at its place. Its maker may
/// change the file's owner or mode first.
#[derive(Debug)]
pub struct StagedSocket {
    listener: UnixListener,
    path: PathBuf,
    _folder: TempDir,
}

impl StagedSocket {
    /// Makes a socket in a new folder inside `folder`, which must be on the file system that the socket goes to.
    pub fn make(folder: &Path) -> io::Result<Self> {
        // The whole name is no longer than `control.sock`: a path that may be a socket's leaves room for it.
        let staging = tempfile::Builder::new()
            .prefix(".c-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(folder)?;
        let path = staging.path().join("s");
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path, _folder: staging })
    }

    /// The socket's file, where it is for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the socket to `path`, in place of what is there, and returns the listener, which doesn't block.
    pub fn put(self, path: &Path) -> io::Result<UnixListener> {
        fs::rename(&self.path, path)?;
        Ok(self.listener)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_takes_the_place_of_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(StagedSocket::make(folder.path()).unwrap().put(&path).unwrap());
        assert!(UnixStream::connect(&path).is_err());
        let _listener = StagedSocket::make(folder.path()).unwrap().put(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
