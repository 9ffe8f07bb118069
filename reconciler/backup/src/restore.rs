//! Data restored for a server: beside its data, or in its place. Nothing is ever overwritten: what was there before is kept beside, too.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_schema::backup::Pause;
use berth_schema::name::ServerId;
use berth_schema::quantity::Bytes;
use berth_wire::hold::{HoldOrder, VolumeOf, VolumeSight};
use jiff::Timestamp;

use crate::error::BackupError;
use crate::place::ServerPath;
use crate::record::server_tag;
use crate::run::{Means, blocking, data_of};
use crate::swap::Swap;
use crate::vault::{Snapshot, Vault};
use crate::view::Shown;

/// Folder in which a server sees the copies beside its data. A test of the planner's holds the two together.
pub const RESTORED: &str = "/restored";
/// Copies that a server may have beside its data at a time.
const MOST: usize = 3;
/// Beginning of the name of a folder that isn't whole yet. Berth alone makes and removes these.
const UNFINISHED: &str = ".unfinished";
/// Share of the host's free space that stays free, as a divisor.
const SPARE: u64 = 20;

/// Data that is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The server.
    pub server: ServerId,
    /// The time whose data is wanted: of the copies from then or before, the newest. Without one, the newest of all.
    pub at: Option<Timestamp>,
    /// The file or folder that is wanted. Without one, everything.
    pub path: Option<ServerPath>,
    /// Its place.
    pub way: Way,
}

/// Place for restored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Beside the server's own, which isn't touched.
    Beside,
    /// In the place of the server's own, which is moved aside. The server is stopped meanwhile.
    Over,
}

/// Data that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the copy was made.
    pub from: Timestamp,
    /// The folder with the restored data, as the server sees it; `None` where it is in the place of the server's own.
    pub beside: Option<String>,
    /// The folder with what was there before: as the server sees it, or on the host.
    pub replaced: Option<String>,
}

/// Restores data of a server.
pub async fn restore(means: Arc<Means>, request: Request) -> Result<Restored, BackupError> {
    let _lock = means.lock()?;
    let volumes = means.volumes().await?;
    let place = volumes.iter().find(|volume| volume.of == VolumeOf::Restored(request.server));
    let place = place.map(|volume| volume.folder.clone());
    let (own, asked) = (Arc::clone(&means), request.clone());
    let snapshot = blocking(move || chosen(&own.vault, &asked)).await?;
    match request.way {
        Way::Beside => {
            let place = place.ok_or(BackupError::NoPlace(request.server))?;
            blocking(move || beside(&means.vault, &snapshot, &request, &place)).await
        }
        Way::Over => over(means, snapshot, request, &volumes, place).await,
    }
}

/// The copy that is asked for.
fn chosen(vault: &Vault, request: &Request) -> Result<Snapshot, BackupError> {
    let id = request.server;
    let all = vault.snapshots(Some(&server_tag(id)))?;
    let oldest = all.first().map(|snapshot| snapshot.time).ok_or(BackupError::NoCopy(id))?;
    let fits = |snapshot: &Snapshot| request.at.is_none_or(|at| snapshot.time <= at);
    let found = all.into_iter().rev().find(fits);
    found.ok_or_else(|| BackupError::TooOld { id, at: request.at.unwrap_or(oldest), oldest })
}

fn beside(
    vault: &Vault,
    snapshot: &Snapshot,
    request: &Request,
    place: &Path,
) -> Result<Restored, BackupError> {
    let failed = |source| BackupError::Place { path: place.to_owned(), source };
    let count = copies(place).map_err(failed)?.len();
    if count >= MOST {
        return Err(BackupError::TooMany { id: request.server, count });
    }
    require_space_for(vault, snapshot, request, place)?;
    let stage = place.join(UNFINISHED);
    fetch(vault, snapshot, request, &stage)?;
    let name = free_name(place, snapshot.time.strftime("%Y-%m-%dT%H%MZ").to_string());
    settle(&stage, place, &name).map_err(failed)?;
    Ok(Restored { from: snapshot.time, beside: Some(format!("{RESTORED}/{name}")), replaced: None })
}

/// Puts a copy, or the part of it that is asked for, into an empty folder.
fn fetch(vault: &Vault, snapshot: &Snapshot, request: &Request, stage: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Place { path: stage.to_owned(), source };
    clear(stage).map_err(failed)?;
    fs::create_dir(stage).map_err(failed)?;
    let path = request.path.as_ref().map(ServerPath::in_copy);
    vault.restore(&snapshot.id, path.as_deref(), stage)?;
    let found = match &path {
        Some(path) => stage.join(path.trim_start_matches('/')).symlink_metadata().is_ok(),
        None => fs::read_dir(stage).map_err(failed)?.next().is_some(),
    };
    if !found {
        clear(stage).map_err(failed)?;
        let path = request.path.as_ref().map(ToString::to_string).unwrap_or_default();
        return Err(BackupError::NotInCopy { path, at: snapshot.time });
    }
    Ok(())
}

fn require_space_for(
    vault: &Vault,
    snapshot: &Snapshot,
    request: &Request,
    place: &Path,
) -> Result<(), BackupError> {
    match request.path {
        // What a part takes isn't known before it is there.
        Some(_) => Ok(()),
        None => require_space(vault, snapshot, place),
    }
}

/// Checks that a whole copy has room where `place` is.
pub(crate) fn require_space(vault: &Vault, snapshot: &Snapshot, place: &Path) -> Result<(), BackupError> {
    let size = vault.size(&snapshot.id)?;
    let host = rustix::fs::statvfs(place)
        .map_err(|error| BackupError::Place { path: place.to_owned(), source: error.into() })?;
    let free = host.f_bavail.saturating_mul(host.f_frsize);
    match size <= free - free / SPARE {
        true => Ok(()),
        false => {
            Err(BackupError::NoSpace { size: Bytes::new(size).rounded(), free: Bytes::new(free).rounded() })
        }
    }
}

/// Restores in the place of a server's own data. It is fetched while the server runs, and changes places with it while it is stopped.
async fn over(
    means: Arc<Means>,
    snapshot: Snapshot,
    request: Request,
    volumes: &[VolumeSight],
    place: Option<PathBuf>,
) -> Result<Restored, BackupError> {
    let id = request.server;
    let mut data = data_of(id, volumes);
    if let Some(path) = &request.path {
        data.retain(|shown| shown.name == path.volume());
    }
    let first = data.first().ok_or(BackupError::NoData(id))?.folder.clone();
    let (own, asked, from) = (Arc::clone(&means), request.clone(), snapshot.time);
    let swaps = blocking(move || {
        require_space_for(&own.vault, &snapshot, &asked, &first)?;
        data.iter().map(|shown| fetched(&own.vault, &snapshot, &asked, shown)).collect::<Result<Vec<_>, _>>()
    });
    let swaps = swaps.await?;
    let order = HoldOrder { server: id, pause: Pause::Stop, before: None, after: None };
    let hold = means.daemon().await?.hold(&order).await.map_err(BackupError::Daemon)?;
    let swapped = blocking(move || Swap::all(&swaps).map(|()| swaps)).await;
    let released = hold.release(&means.socket).await.map_err(BackupError::Daemon);
    let swaps = swapped?;
    let replaced = blocking(move || keep(&swaps, place.as_deref())).await?;
    released?;
    Ok(Restored { from, beside: None, replaced: Some(replaced) })
}

/// Fetches the part of a copy that belongs into one volume, where no server can reach it.
fn fetched(
    vault: &Vault,
    snapshot: &Snapshot,
    request: &Request,
    shown: &Shown,
) -> Result<Swap, BackupError> {
    let beside = shown.folder.parent().unwrap_or(&shown.folder);
    let stage = beside.join(UNFINISHED);
    let whole = || ServerPath::whole(&shown.name);
    let path = request.path.clone().or_else(whole).ok_or(BackupError::NoData(request.server))?;
    let request = Request { path: Some(path.clone()), ..request.clone() };
    fetch(vault, snapshot, &request, &stage)?;
    Ok(Swap::new(&shown.folder, &stage.join(&shown.name), path.below()))
}

/// Keeps what was replaced: beside the server's data, or where that can't be, on the host. Returns where.
fn keep(swaps: &[Swap], place: Option<&Path>) -> Result<String, BackupError> {
    let name = format!("replaced-{}", Timestamp::now().strftime("%Y-%m-%dT%H%M%SZ"));
    if let Some(place) = place {
        let failed = |source| BackupError::Place { path: place.to_owned(), source };
        let stage = place.join(UNFINISHED);
        clear(&stage).map_err(failed)?;
        fs::create_dir(&stage).map_err(failed)?;
        let moved = swaps.iter().try_for_each(|swap| {
            fs::rename(swap.replaced(), stage.join(swap.replaced().file_name().unwrap_or_default()))
        });
        match moved {
            Ok(()) => {
                settle(&stage, place, &name).map_err(failed)?;
                for swap in swaps {
                    clear(swap.stage()).map_err(failed)?;
                }
                return Ok(format!("{RESTORED}/{name}"));
            }
            // Another file system: nothing of it is moved.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => clear(&stage).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
    }
    let mut places = Vec::new();
    for swap in swaps {
        let to = swap.stage().with_file_name(&name);
        let moved = fs::rename(swap.stage(), &to);
        moved.map_err(|source| BackupError::Place { path: to.clone(), source })?;
        places.push(to.display().to_string());
    }
    Ok(places.join(", "))
}

/// Gives a finished folder its name, and to the server.
fn settle(stage: &Path, place: &Path, name: &str) -> io::Result<()> {
    let owner = fs::metadata(place)?;
    chown(stage, Some(owner.uid()), Some(owner.gid()))?;
    fs::set_permissions(stage, fs::Permissions::from_mode(0o755))?;
    // Its age counts from now.
    fs::File::open(stage)?.set_modified(SystemTime::now())?;
    fs::rename(stage, place.join(name))
}

fn free_name(place: &Path, name: String) -> String {
    let mut free = name.clone();
    let mut number = 1;
    while place.join(&free).symlink_metadata().is_ok() {
        number += 1;
        free = format!("{name}-{number}");
    }
    free
}

/// The copies that lie beside a server's data.
fn copies(place: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(place)?.collect::<io::Result<Vec<_>>>()?;
    let named = entries.into_iter().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    Ok(named.map(|entry| entry.path()).collect())
}

/// Removes a folder, if it is there.
fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes the restored copies that are older than this, of all servers or of one. Returns how many.
pub async fn expire(means: Arc<Means>, of: Option<ServerId>, kept: Duration) -> Result<usize, BackupError> {
    let _lock = means.lock()?;
    let places = means.volumes().await?.into_iter().filter(|volume| match volume.of {
        VolumeOf::Restored(id) => of.is_none_or(|of| of == id),
        VolumeOf::Data(_) | VolumeOf::System | VolumeOf::Drill => false,
    });
    let places: Vec<PathBuf> = places.map(|volume| volume.folder).collect();
    blocking(move || {
        let removed = places.iter().map(|place| {
            expire_in(place, kept).map_err(|source| BackupError::Place { path: place.clone(), source })
        });
        removed.sum()
    })
    .await
}

fn expire_in(place: &Path, kept: Duration) -> io::Result<usize> {
    let mut removed = 0;
    for copy in copies(place)? {
        let age = SystemTime::now().duration_since(fs::symlink_metadata(&copy)?.modified()?);
        if age.is_ok_and(|age| age >= kept) {
            clear(&copy)?;
            removed += 1;
        }
    }
    Ok(removed)
}
