//! `web.sock`, opened: takes the panel's questions, a bounded number at once and each for a bounded time.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_fault::{Fault, Kind};
use berth_host::PanelFolder;
use berth_tasks::Tasks;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::converse::converse;
use super::gate_door::GateDoor;
use super::panel::Panel;
use super::questions::questions;
use crate::listen::ListenError;

/// The socket's name in the panel's folder.
pub const SOCKET: &str = "web.sock";
/// Connections at once: together with the longest question, what the panel can make the door hold in memory.
const CONNECTIONS: usize = 64;
/// Time that answers have when the door closes.
const CLOSING: Duration = Duration::from_secs(20);
/// Time between two looks at the socket's file.
const GLANCE: Duration = Duration::from_secs(2);
/// Wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// The socket can't be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum SocketError {
    /// Another door answers there.
    #[error("another door for the panel answers at {path}")]
    InUse { path: PathBuf },
    /// The folder or the socket can't be made.
    #[error("cannot open the panel's door in {path}")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Fault for SocketError {
    fn kind(&self) -> Kind {
        Kind::Configuration
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => Some("name another folder with --panel-folder (or BERTH_PANEL)"),
            Self::Make { .. } => Some(
                "the folder has to belong to the user that `berth git` runs as (--panel-folder, BERTH_PANEL)",
            ),
        }
    }
}

/// The open door.
pub struct PanelDoor {
    panel: Arc<Panel>,
    listener: UnixListener,
    path: PathBuf,
    /// The socket's file, by which it is known again when it is taken away.
    made: (u64, u64),
    gate: Option<GateDoor>,
}

impl PanelDoor {
    /// Opens `web.sock` in the folder.
    pub fn open(panel: Panel, folder: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Make { path: folder.to_owned(), source };
        let made = PanelFolder::make(folder).map_err(failed)?;
        let path = made.path(SOCKET);
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(SocketError::InUse { path });
        }
        let listener = made.listen(SOCKET).and_then(UnixListener::from_std).map_err(failed)?;
        let made = identity(&path).map_err(failed)?;
        Ok(Self { panel: Arc::new(panel), listener, path, made, gate: None })
    }

    /// Path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a door for the gate as well, in a folder of its own.
    pub fn open_gate(&mut self, folder: &Path) -> Result<(), ListenError> {
        self.gate = Some(GateDoor::open(Arc::clone(&self.panel), folder)?);
        Ok(())
    }

    /// Ground of the answers, for the git door: there, the SSH router redeems the panel's tickets.
    pub fn panel(&self) -> Arc<Panel> {
        Arc::clone(&self.panel)
    }

    /// Keeps the door open as one of these tasks. What is returned ends when the door is closed and every question is answered.
    pub fn keep(mut self, tasks: &Tasks) -> CancellationToken {
        if let Some(gate) = self.gate.take() {
            gate.keep(tasks);
        }
        let closed = CancellationToken::new();
        let (end, inner) = (closed.clone(), tasks.clone());
        tasks.keep_until(&end, "the panel's door", async move {
            self.serve(inner).await;
            closed.cancel();
        });
        end
    }

    /// Makes the socket anew where its file is gone, as with a folder below `/run` that somebody has tidied up. Another door's
    /// stays.
    fn put_back(&mut self) {
        let is_gone = identity(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let Some(folder) = self.path.parent().filter(|_| is_gone) else { return };
        let made = PanelFolder::make(folder).and_then(|made| UnixListener::from_std(made.listen(SOCKET)?));
        match made.and_then(|listener| Ok((listener, identity(&self.path)?))) {
            Ok((listener, made)) => {
                tracing::warn!(socket = %self.path.display(), "the panel's socket was gone, and is made again");
                (self.listener, self.made) = (listener, made);
            }
            // Said each time: nobody reaches the panel meanwhile.
            Err(error) => tracing::error!(%error, "the panel's socket is gone, and can't be made again"),
        }
    }

    /// Answers until `tasks` are asked to end. Questions that are being answered then may end by themselves for a while.
    async fn serve(mut self, tasks: Tasks) {
        tracing::info!(socket = %self.path.display(), "the panel's door is open");
        let routes = Arc::new(questions());
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let (panel, ending) = (Arc::clone(&self.panel), tasks.stop().clone());
        tasks.serve("the look at the past", async move {
            // The first question of it needn't wait then.
            let looked = tokio::task::spawn_blocking(move || panel.warm(&|| ending.is_cancelled())).await;
            if let Err(error) = looked {
                tracing::error!(%error, "the look at the past broke");
            }
        });
        loop {
            // Those that wait for a place wait in the kernel.
            let accepted = tokio::select! {
                accepted = accept(&self.listener, &room) => accepted,
                () = tokio::time::sleep(GLANCE) => {
                    self.put_back();
                    continue;
                }
                () = tasks.stop().cancelled() => break,
            };
            match accepted {
                Ok((stream, place)) => {
                    let (panel, routes) = (Arc::clone(&self.panel), Arc::clone(&routes));
                    tasks.serve("a question of the panel", converse(stream, panel, routes, Arc::new(place)));
                }
                Err(error) => {
                    tracing::warn!(%error, "the panel's door can't take a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
        if identity(&self.path).is_ok_and(|found| found == self.made) {
            let _ = std::fs::remove_file(&self.path);
        }
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(CLOSING, room.acquire_many(all)).await;
        tracing::info!("the panel's door is closed");
    }
}

async fn accept(
    listener: &UnixListener,
    room: &Arc<Semaphore>,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
