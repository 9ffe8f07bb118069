//! The door's socket: in a folder that the router's container sees, for the router alone.
//!
//! Whoever owns the folder may be hostile root of a container: nothing that lies in it is followed, changed or trusted.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The socket's name in its folder.
const NAME: &str = "git.sock";
/// Between two looks whether the socket is still what the folder holds: the reconciler makes the folder anew with the
/// router's container, and then nobody would find us.
const LOOK: Duration = Duration::from_secs(2);

/// The socket can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else answers there.
    #[error("another git door answers at {path}")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The folder or the socket can't be made.
    #[error("open the git door at {path}")]
    Make {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The socket, listened to.
pub(super) struct Listening {
    folder: PathBuf,
    path: PathBuf,
    listener: UnixListener,
    made: Made,
    looks: Interval,
}

/// Which socket ours is, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    device: u64,
    inode: u64,
    owner: u32,
}

impl Listening {
    /// Makes the folder if it isn't there, and the socket in it.
    pub(super) fn open(folder: &Path) -> Result<Self, ListenError> {
        let path = folder.join(NAME);
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(ListenError::InUse { path });
        }
        let (listener, made) =
            bind(folder, &path).map_err(|source| ListenError::Make { path: path.clone(), source })?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { folder: folder.to_owned(), path, listener, made, looks })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection of somebody who may connect.
    pub(super) async fn accept(&mut self) -> Result<UnixStream, ListenError> {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if self.may(&stream) => return Ok(stream),
                    Ok(_) => tracing::warn!("somebody who isn't the router connected to the git door"),
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the git door failed");
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
        peer.uid() == 0 || owner(&self.folder).is_ok_and(|owner| owner == peer.uid())
    }

    /// Makes the socket again where it is gone, or where the folder has another owner by now.
    fn look(&mut self) {
        if found(&self.path).is_ok_and(|found| found == self.made)
            && owner(&self.folder).is_ok_and(|owner| owner == self.made.owner)
        {
            return;
        }
        match bind(&self.folder, &self.path) {
            Ok((listener, made)) => {
                tracing::info!(socket = %self.path.display(), "the git door's folder was made anew; it is open there");
                (self.listener, self.made) = (listener, made);
            }
            Err(error) => tracing::warn!(%error, "the git door's folder was made anew, and can't be used"),
        }
    }

    /// Takes the socket away.
    pub(super) fn close(self) {
        if found(&self.path).is_ok_and(|found| found == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket beside the folder and moves it in whole, so that it is never open to anybody else, and so that
/// nothing which lies in the folder is touched but by name.
fn bind(folder: &Path, path: &Path) -> io::Result<(UnixListener, Made)> {
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let owner = owner(folder)?;
    let staging = tempfile::Builder::new().prefix(".git-door-").tempdir_in(parent)?;
    let made = staging.path().join("s");
    let listener = UnixListener::bind(&made)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    if fs::symlink_metadata(&made)?.uid() != owner {
        lchown(&made, Some(owner), None)?;
    }
    let found = found(&made)?;
    fs::rename(&made, path)?;
    Ok((listener, found))
}

/// Who owns the folder itself; a link in its place is nobody's folder.
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
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owner_s_alone_and_comes_back_with_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("doors/berth");
        let mut listening = Listening::open(&folder).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&folder), mode(listening.path())), (0o700, 0o600));
        assert!(matches!(Listening::open(&folder), Err(ListenError::InUse { .. })));
        fs::remove_dir_all(&folder).unwrap();
        listening.look();
        let path = listening.path().to_owned();
        let client = tokio::spawn(async move { UnixStream::connect(path).await });
        listening.accept().await.unwrap();
        client.await.unwrap().unwrap();
        let names = fs::read_dir(folder.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside the folder");
        listening.close();
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
        let listening = Listening::open(&folder).unwrap();
        assert!(!fs::symlink_metadata(listening.path()).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o644);
        listening.close();

        // Nor does a link in the folder's place.
        fs::remove_dir_all(&folder).unwrap();
        symlink(home.path(), &folder).unwrap();
        assert!(matches!(Listening::open(&folder), Err(ListenError::Make { .. })));
    }
}
