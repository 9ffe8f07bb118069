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
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::BackupError;
use crate::place::ServerPath;
use crate::record::server_tag;
use crate::run::{Means, blocking, data_of};
use crate::swap::{NotSwapped, Swap};
use crate::vault::{Snapshot, Vault};
use crate::view::Shown;

/// Folder in which a server sees the copies beside its data. A test of the planner's holds the two together.
pub const RESTORED: &str = "/restored";
/// Copies that a server may have beside its data at a time.
const MOST: usize = 3;
/// Name of a folder that isn't whole yet, out of every server's sight.
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
    let stage = out_of_sight(place, UNFINISHED);
    clear(&stage).map_err(failed)?;
    let name = free_name(place, snapshot.time.strftime("%Y-%m-%dT%H%MZ").to_string());
    let settled =
        fetch(vault, snapshot, request, &stage).and_then(|()| settle(&stage, place, &name).map_err(failed));
    settled.inspect_err(|_| forget(&stage))?;
    Ok(Restored { from: snapshot.time, beside: Some(format!("{RESTORED}/{name}")), replaced: None })
}

/// A folder beside a volume's own. In the volume, which its server can make writable, root would follow what its members put there.
fn out_of_sight(volume: &Path, name: &str) -> PathBuf {
    volume.parent().unwrap_or(volume).join(name)
}

/// Puts a copy, or the part of it that is asked for, into a new folder.
fn fetch(vault: &Vault, snapshot: &Snapshot, request: &Request, stage: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Place { path: stage.to_owned(), source };
    fs::create_dir(stage).map_err(failed)?;
    let path = request.path.as_ref().map(ServerPath::in_copy);
    vault.restore(&snapshot.id, path.as_deref(), stage)?;
    let found = match &path {
        Some(path) => stage.join(path.trim_start_matches('/')).symlink_metadata().is_ok(),
        None => fs::read_dir(stage).map_err(failed)?.next().is_some(),
    };
    if !found {
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
    match &request.path {
        Some(path) => require_room(vault.size_of_part(&snapshot.id, &path.in_copy())?, place),
        None => require_space(vault, snapshot, place),
    }
}

/// Checks that a whole copy has room where `place` is.
pub(crate) fn require_space(vault: &Vault, snapshot: &Snapshot, place: &Path) -> Result<(), BackupError> {
    require_room(vault.size(&snapshot.id)?, place)
}

fn require_room(size: u64, place: &Path) -> Result<(), BackupError> {
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
    // The name that it keeps: after they have changed places, nothing that is asked for later may take it for something unfinished.
    let name = format!("replaced-{}", Timestamp::now().strftime("%Y-%m-%dT%H%M%SZ"));
    let aside = name.clone();
    let swaps = blocking(move || {
        require_space_for(&own.vault, &snapshot, &asked, &first)?;
        let stages = || data.iter().map(|shown| out_of_sight(&shown.folder, &aside));
        let swaps = data.iter().zip(stages());
        let swaps = swaps.map(|(shown, stage)| fetched(&own.vault, &snapshot, &asked, shown, &stage));
        let swaps: Result<Vec<_>, _> = swaps.collect();
        swaps.inspect_err(|_| stages().for_each(|stage| forget(&stage)))
    });
    let swaps = swaps.await?;
    let order = HoldOrder { server: id, pause: Pause::Stop, before: None, after: None };
    let held = async { means.daemon().await?.hold(&order).await.map_err(BackupError::Daemon) };
    let hold = held.await.inspect_err(|_| swaps.iter().for_each(|swap| forget(swap.stage())))?;
    let swapped = blocking(move || match Swap::all(&swaps) {
        Ok(()) => Ok(swaps),
        Err(NotSwapped { error, is_undone }) => {
            if is_undone {
                swaps.iter().for_each(|swap| forget(swap.stage()));
            }
            Err(error)
        }
    });
    let swapped = swapped.await;
    let released = hold.release(&means.socket).await.map_err(BackupError::Daemon);
    let swaps = swapped?;
    let replaced = blocking(move || Ok(keep(&swaps, place.as_deref(), &name))).await?;
    released?;
    Ok(Restored { from, beside: None, replaced: Some(replaced) })
}

/// Fetches the part of a copy that belongs into one volume, where no server can reach it.
fn fetched(
    vault: &Vault,
    snapshot: &Snapshot,
    request: &Request,
    shown: &Shown,
    stage: &Path,
) -> Result<Swap, BackupError> {
    let whole = || ServerPath::whole(&shown.name);
    let path = request.path.clone().or_else(whole).ok_or(BackupError::NoData(request.server))?;
    let request = Request { path: Some(path.clone()), ..request.clone() };
    fetch(vault, snapshot, &request, stage)?;
    Ok(Swap::new(&shown.folder, &stage.join(&shown.name), path.below()))
}

/// Keeps what was replaced where the server sees it, or where that can't be, on the host, where it lies. Returns where.
fn keep(swaps: &[Swap], place: Option<&Path>, name: &str) -> String {
    match place.map(|place| show(swaps, place, name)) {
        Some(Ok(())) => {
            swaps.iter().for_each(|swap| forget(swap.stage()));
            return format!("{RESTORED}/{name}");
        }
        Some(Err(error)) => tracing::warn!(%error, "what was replaced stays on the host"),
        None => {}
    }
    swaps.iter().map(|swap| swap.stage().display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Moves what was replaced to where the server sees it: all of it, or nothing.
fn show(swaps: &[Swap], place: &Path, name: &str) -> io::Result<()> {
    let stage = out_of_sight(place, name);
    fs::create_dir(&stage)?;
    let to = |swap: &Swap| stage.join(swap.replaced().file_name().unwrap_or_default());
    let moved = swaps.iter().try_for_each(|swap| fs::rename(swap.replaced(), to(swap)));
    moved.and_then(|()| settle(&stage, place, name)).inspect_err(|_| {
        for swap in swaps.iter().filter(|swap| to(swap).symlink_metadata().is_ok()) {
            if let Err(error) = fs::rename(to(swap), swap.replaced()) {
                tracing::error!(%error, folder = %to(swap).display(), "what was replaced lies there");
            }
        }
        // One that holds something stays.
        let _ = fs::remove_dir(&stage);
    })
}

/// Gives a finished folder its name, and to the server.
fn settle(stage: &Path, place: &Path, name: &str) -> io::Result<()> {
    let owner = fs::metadata(place)?;
    chown(stage, Some(owner.uid()), Some(owner.gid()))?;
    fs::set_permissions(stage, fs::Permissions::from_mode(0o755))?;
    // Its age counts from now.
    fs::File::open(stage)?.set_modified(SystemTime::now())?;
    Ok(renameat_with(CWD, stage, CWD, place.join(name), RenameFlags::NOREPLACE)?)
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

/// Removes a folder, if it is there, or whatever has its name.
fn clear(folder: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(folder) {
        Ok(found) if !found.is_dir() => fs::remove_file(folder),
        _ => fs::remove_dir_all(folder),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes what came to nothing.
fn forget(stage: &Path) {
    if let Err(error) = clear(stage) {
        tracing::warn!(folder = %stage.display(), %error, "what was fetched of a copy can't be removed");
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
        let (mut removed, mut first) = (0, None);
        for place in places {
            match expire_in(&place, kept) {
                Ok(number) => removed += number,
                Err(source) => {
                    tracing::warn!(folder = %place.display(), error = %source, "restored copies can't be removed");
                    first.get_or_insert(BackupError::Place { path: place, source });
                }
            }
        }
        first.map_or(Ok(removed), Err)
    })
    .await
}

/// Removes copies that are so old, and what a restore that was killed has left: whoever removes has the lock.
fn expire_in(place: &Path, kept: Duration) -> io::Result<usize> {
    clear(&out_of_sight(place, UNFINISHED))?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_was_replaced_is_shown_whole_or_stays_where_it_is() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        for path in ["apps/_data", "apps/replaced/apps", "home/_data", "home/replaced/home", "restored/_data"]
        {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("apps/replaced/apps/a"), "now").unwrap();
        let swaps = ["apps", "home"]
            .map(|end| Swap::new(&at(end).join("_data"), &at(end).join("replaced").join(end), ""));
        // The server has put something into the place.
        symlink(home.path(), at("restored/_data/replaced")).unwrap();
        let kept = keep(&swaps, Some(&at("restored/_data")), "replaced");
        assert_eq!(kept, format!("{}, {}", at("apps/replaced").display(), at("home/replaced").display()));
        assert_eq!(fs::read_to_string(at("apps/replaced/apps/a")).unwrap(), "now");
        assert!(at("home/replaced/home").is_dir() && !at("restored/replaced").exists());
        fs::remove_file(at("restored/_data/replaced")).unwrap();
        assert_eq!(keep(&swaps, Some(&at("restored/_data")), "replaced"), "/restored/replaced");
        assert_eq!(fs::read_to_string(at("restored/_data/replaced/apps/a")).unwrap(), "now");
        assert!(!at("apps/replaced").exists());
    }

    #[test]
    fn whatever_a_server_puts_beside_its_copies_goes_and_stops_nothing() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("_data");
        fs::create_dir(&place).unwrap();
        fs::write(home.path().join("kept"), "").unwrap();
        fs::write(place.join("file"), "").unwrap();
        symlink(home.path(), place.join("link")).unwrap();
        fs::create_dir_all(place.join("copy/apps")).unwrap();
        fs::create_dir(home.path().join(UNFINISHED)).unwrap();
        assert_eq!(expire_in(&place, Duration::ZERO).unwrap(), 3);
        let mut left: Vec<_> =
            fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["_data", "kept"]);
    }
}
