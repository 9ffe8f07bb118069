//! Routes file, followed while it changes: read whole, replaced whole, and kept while the new one is broken.
//!
//! The folder is watched and not the file: a watch on a file ends when another file is renamed over it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_schema::Finding;
use berth_schema::route::{RouteServer, Routes};
use blake3::Hash;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use russh::keys::PrivateKey;
use tokio::sync::{mpsc, watch};

use crate::decide::{Grant, Target};
use crate::loaded::Loaded;

/// Routes and the key that they name.
pub(crate) struct Table {
    pub(crate) routes: Routes,
    pub(crate) key: Arc<PrivateKey>,
    /// Digest of the file's bytes.
    pub(crate) digest: Hash,
    /// Stamps of the routes file and of the key's file, taken before they were read.
    stamps: [Option<Stamp>; 2],
}

/// Signs of a file's change that need no reading: device, number, size, and time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, u64, i64, i64);

/// Reasons why there are no routes, or no new ones.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoutesError {
    #[error("cannot read the routes file {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use the routes file: {}", shown(.0))]
    Broken(Vec<Finding>),
    #[error("cannot read the router's key {path}")]
    Key {
        path: PathBuf,
        #[source]
        source: russh::keys::Error,
    },
    #[error("cannot watch the folder of the routes file")]
    Watch(#[from] notify::Error),
}

/// Pause in which a burst of writes becomes one change.
const SETTLE: Duration = Duration::from_millis(20);
/// Interval of looks at the files themselves, for file systems that report nothing and for reports that were missed. It is
/// short enough to end a revoked session within a second.
const LOOK_ANYWAY: Duration = Duration::from_millis(400);
/// Longest routes file, in bytes. It has room for more than a hundred thousand keys.
const SIZE_MAX: u64 = 64 << 20;

impl Table {
    /// Reads the file and the key.
    pub(crate) fn load(path: &Path) -> Result<Self, RoutesError> {
        let unread = |source| RoutesError::Read { path: path.to_owned(), source };
        let stamp = stamp(path);
        let size = std::fs::metadata(path).map_err(unread)?.len();
        if size > SIZE_MAX {
            return Err(unread(std::io::ErrorKind::FileTooLarge.into()));
        }
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let routes = Routes::parse(&path.to_string_lossy(), &text).map_err(RoutesError::Broken)?;
        for (user, _) in
            routes.users().filter(|(_, user)| user.password_hash.is_some() && user.checkable_hash().is_none())
        {
            tracing::warn!(%user, "the hash of this password costs too much to check, so the password opens nothing");
        }
        let stamps = [stamp, self::stamp(routes.upstream_key())];
        let key = russh::keys::load_secret_key(routes.upstream_key(), None)
            .map_err(|source| RoutesError::Key { path: routes.upstream_key().to_owned(), source })?;
        Ok(Self { routes, key: Arc::new(key), digest: blake3::hash(text.as_bytes()), stamps })
    }

    /// Returns whether neither file has been touched since it was read.
    fn is_current(&self, path: &Path) -> bool {
        self.stamps == [stamp(path), stamp(self.routes.upstream_key())]
    }

    fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.key.public_key() == other.key.public_key()
    }

    /// Returns the server that a grant leads to.
    pub(crate) fn server(&self, grant: &Grant) -> Option<&RouteServer> {
        let Target::Server(_, id) = &grant.target else { return None };
        self.routes.server_of(*id).map(|(_, server)| server)
    }
}

/// Loads the routes, and follows them for as long as the receiver lives.
pub(crate) fn follow(path: PathBuf, loaded: Arc<Loaded>) -> Result<watch::Receiver<Arc<Table>>, RoutesError> {
    let (woken, wakes) = mpsc::channel(1);
    // Watched before it is read, so that no change falls between the two.
    let watcher = watch_folder(&path, woken)?;
    let table = Table::load(&path)?;
    tracing::info!(servers = table.routes.servers().len(), "routes loaded");
    loaded.tell(table.digest);
    let (sender, receiver) = watch::channel(Arc::new(table));
    tokio::spawn(keep_current(path, loaded, sender, wakes, watcher));
    Ok(receiver)
}

fn watch_folder(path: &Path, woken: mpsc::Sender<()>) -> Result<RecommendedWatcher, notify::Error> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an access, too.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            // A second wake adds nothing to one that waits already.
            let _ = woken.try_send(());
        }
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    watcher.watch(folder.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

async fn keep_current(
    path: PathBuf,
    loaded: Arc<Loaded>,
    sender: watch::Sender<Arc<Table>>,
    mut wakes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
) {
    let mut complained: Option<String> = None;
    loop {
        let told = tokio::select! {
            woken = wakes.recv() => match woken {
                Some(()) => true,
                None => return,
            },
            () = tokio::time::sleep(LOOK_ANYWAY) => false,
            () = sender.closed() => return,
        };
        if told {
            tokio::time::sleep(SETTLE).await;
        }
        let (from, before) = (path.clone(), Arc::clone(&sender.borrow()));
        let read = move || (told || !before.is_current(&from)).then(|| Table::load(&from));
        match tokio::task::spawn_blocking(read).await {
            // Nothing changed, or the thread was lost. The next round looks again.
            Ok(None) | Err(_) => {}
            Ok(Some(Ok(table))) => {
                complained = None;
                let (digest, same) = (table.digest, sender.borrow().is_same(&table));
                let servers = table.routes.servers().len();
                if same {
                    // Taken for its stamps only, so nobody is told.
                    sender.send_if_modified(|there| {
                        *there = Arc::new(table);
                        false
                    });
                } else {
                    tracing::info!(servers, "routes changed");
                    sender.send_replace(Arc::new(table));
                    loaded.tell(digest);
                }
            }
            Ok(Some(Err(error))) => {
                let message = error.to_string();
                if complained.as_ref() != Some(&message) {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "the last good routes stay");
                    complained = Some(message);
                }
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some(Stamp(file.dev(), file.ino(), file.size(), file.ctime(), file.ctime_nsec()))
}

fn shown(findings: &[Finding]) -> String {
    let first: Vec<String> = findings.iter().take(5).map(ToString::to_string).collect();
    let more = findings.len().saturating_sub(first.len());
    if more > 0 { format!("{} (and {more} more)", first.join("; ")) } else { first.join("; ") }
}
