//! A socket of the daemon's: made for one user, served, and gone with the daemon.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use berth_host::{Owner, StagedSocket};
use tokio::net::UnixListener;

/// Time between two looks at a socket's file.
const GLANCE: Duration = Duration::from_secs(2);

/// A socket that cannot be opened or served.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the socket {}", path.display())]
pub struct ControlError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// One of the daemon's sockets, which takes connections from now on.
#[derive(Debug)]
pub struct Socket {
    place: Place,
    listener: std::os::unix::net::UnixListener,
}

/// Path of the socket, which is removed with this value.
#[derive(Debug)]
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Makes the socket at `path`, open to nobody else. The caller holds the journal's lock, so a socket that is there already
    /// was left by a process that is gone.
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        Self::open_for(path, None)
    }

    /// Makes the socket as [`Socket::open`] does, but for `owner` and root.
    pub fn open_for(path: &Path, owner: Option<Owner>) -> Result<Self, ControlError> {
        let failed = |source| ControlError { path: path.to_owned(), source };
        let staged = StagedSocket::make(path.parent().unwrap_or(path)).map_err(failed)?;
        if let Some(owner) = owner {
            owner.give(staged.path()).map_err(failed)?;
        }
        let listener = staged.put(path).map_err(failed)?;
        Ok(Self { place: Place(path.to_owned()), listener })
    }

    /// The socket at `path`, by a listener that was made for it.
    pub(super) fn of(
        path: PathBuf,
        listener: io::Result<std::os::unix::net::UnixListener>,
    ) -> Result<Self, ControlError> {
        match listener {
            Ok(listener) => Ok(Self { place: Place(path), listener }),
            Err(source) => Err(ControlError { path, source }),
        }
    }

    /// Waits until the socket's file is gone, as with a folder below `/run` that somebody has tidied up: then nobody finds the
    /// listener any more.
    pub(super) async fn gone(path: &Path) {
        while fs::symlink_metadata(path).is_ok() {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Path of the socket.
    pub(super) fn path(&self) -> &Path {
        &self.place.0
    }

    /// Serves the socket, forever; it is gone when this is dropped.
    pub(super) async fn serve(self, router: Router) -> Result<(), ControlError> {
        let Self { place, listener } = self;
        let failed = |source| ControlError { path: place.0.clone(), source };
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        // Dropped at the end, and not shut down: an event stream never ends by itself, and nothing here is half done.
        axum::serve(listener, router).await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_socket_is_its_owner_s_alone_and_says_where_it_can_not_be() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("control.sock");
        fs::write(&path, "left behind").unwrap();
        let _socket = Socket::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside it");

        // The kernel takes paths of 107 bytes at most.
        let deep = home.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let error = Socket::open(&deep.join("control.sock")).unwrap_err();
        assert!(error.to_string().contains("ddd/control.sock"), "{error}");
    }
}
