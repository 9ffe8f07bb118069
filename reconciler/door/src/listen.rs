//! A socket of the door's in a folder that one container sees: the router's, or the web server's. It is for that container's root alone.
//!
//! The folder's owner may be a container's hostile root: nothing that lies in it is followed, changed or trusted.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_host::GuestSocket;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two checks that the folder still holds our socket: the reconciler makes the folder anew with the router's
/// container, and then nobody would find us.
const LOOK: Duration = Duration::from_secs(2);

/// The socket can't be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ListenError {
    /// Somebody else answers there.
    #[error("another door answers at {path}")]
    InUse { path: PathBuf },
    /// The folder or the socket can't be made.
    #[error("cannot open the door at {path}")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The socket, listened to.
pub(crate) struct Listening {
    folder: PathBuf,
    socket: GuestSocket,
    listener: UnixListener,
    looks: Interval,
}

impl Listening {
    /// Makes the folder if it isn't there, and the socket in it.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self, ListenError> {
        let mut socket = GuestSocket::at(folder, name);
        if std::os::unix::net::UnixStream::connect(socket.path()).is_ok() {
            return Err(ListenError::InUse { path: socket.path().to_owned() });
        }
        let bound = bind(folder, &mut socket);
        let listener =
            bound.map_err(|source| ListenError::Make { path: socket.path().to_owned(), source })?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { folder: folder.to_owned(), socket, listener, looks })
    }

    pub(crate) fn path(&self) -> &Path {
        self.socket.path()
    }

    /// The next connection of somebody who may connect.
    pub(crate) async fn accept(&mut self) -> Result<UnixStream, ListenError> {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if self.may(&stream) => return Ok(stream),
                    Ok(_) => tracing::warn!(socket = %self.path().display(), "somebody whom the door isn't for connected to it"),
                    Err(error) => {
                        tracing::warn!(%error, socket = %self.path().display(), "a connection to the door failed");
                        // Of what the kernel is short of, some may be there again.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                _ = self.looks.tick() => self.look(),
            }
        }
    }

    /// Root, and whoever owns the folder.
    fn may(&self, stream: &UnixStream) -> bool {
        let Ok(peer) = stream.peer_cred() else { return false };
        peer.uid() == 0 || self.socket.owner().is_ok_and(|owner| owner == peer.uid())
    }

    /// Makes the socket again where it is gone, or where the folder has another owner by now.
    fn look(&mut self) {
        if !self.socket.is_lost() {
            return;
        }
        match bind(&self.folder, &mut self.socket) {
            Ok(listener) => {
                tracing::info!(socket = %self.path().display(), "the door's folder was made anew; it is open there");
                self.listener = listener;
            }
            Err(error) => tracing::warn!(%error, "the door's folder was made anew, and can't be used"),
        }
    }
}

impl Drop for Listening {
    /// Takes the socket away: its file must not outlive whoever answers, however that ends.
    fn drop(&mut self) {
        self.socket.remove();
    }
}

/// Makes the folder if it isn't there, and the socket in it.
fn bind(folder: &Path, socket: &mut GuestSocket) -> io::Result<UnixListener> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    UnixListener::from_std(socket.make()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    const NAME: &str = "git.sock";

    #[tokio::test]
    async fn the_socket_is_its_owner_s_alone_and_comes_back_with_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("doors/berth");
        let mut listening = Listening::open(&folder, NAME).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&folder), mode(listening.path())), (0o700, 0o600));
        assert!(matches!(Listening::open(&folder, NAME), Err(ListenError::InUse { .. })));
        fs::remove_dir_all(&folder).unwrap();
        listening.look();
        let path = listening.path().to_owned();
        let client = tokio::spawn(async move { UnixStream::connect(path).await });
        listening.accept().await.unwrap();
        client.await.unwrap().unwrap();
        let names = fs::read_dir(folder.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside the folder");
        drop(listening);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_link_in_the_socket_s_place_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let (folder, victim) = (home.path().join("door"), home.path().join("victim"));
        fs::create_dir(&folder).unwrap();
        fs::write(&victim, "kept").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&victim, folder.join(NAME)).unwrap();
        let listening = Listening::open(&folder, NAME).unwrap();
        assert!(!fs::symlink_metadata(listening.path()).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o644);
        drop(listening);

        // Nor does a link in the folder's place.
        fs::remove_dir_all(&folder).unwrap();
        symlink(home.path(), &folder).unwrap();
        assert!(matches!(Listening::open(&folder, NAME), Err(ListenError::Make { .. })));
    }
}
