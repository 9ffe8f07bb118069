//! Drills: a copy of a server is restored where nobody uses it, read back and started. A backup that was never restored is none.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use berth_fault::chain;
use berth_schema::name::ServerId;
use berth_wire::client::Drill;
use berth_wire::hold::{Booted, DrillOrder, VolumeOf, VolumeSight};
use jiff::Timestamp;
use rustix::rand::GetRandomFlags;

use crate::error::BackupError;
use crate::record::{DrillRecord, DrillResult, Drills, server_tag};
use crate::restore::require_space;
use crate::run::{Job, Means, blocking};
use crate::vault::{Snapshot, Vault};

/// Tries the newest copy of a server: of `only`, or of one of `jobs` by chance. Its end is written down, whatever it is.
///
/// # Errors
/// It is an error if no drill could begin. One that failed is a record.
pub async fn drill(
    means: Arc<Means>,
    jobs: Vec<Job>,
    only: Option<ServerId>,
) -> Result<DrillRecord, BackupError> {
    let _lock = means.lock()?;
    let (began, begun) = (Timestamp::now(), Instant::now());
    let own = Arc::clone(&means);
    let (job, snapshot) = blocking(move || chosen(&own.vault, jobs, only)).await?;
    let tried = attempt(&means, job.id, &snapshot).await;
    let result = match tried {
        Ok((files, booted)) => DrillResult::Passed { files, boot: booted.millis, by: booted.by },
        Err(error) => DrillResult::Failed { error: chain(&error) },
    };
    means.require_time()?;
    let millis = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    let record = DrillRecord { began, server: job.id, name: job.name, copy: snapshot.time, result, millis };
    let failed = |source| BackupError::Folder { path: means.folder.clone(), source };
    Drills::of(&means.folder).add(&record).map_err(failed)?;
    Ok(record)
}

/// The server whose turn it is, and its newest copy.
fn chosen(vault: &Vault, jobs: Vec<Job>, only: Option<ServerId>) -> Result<(Job, Snapshot), BackupError> {
    let copies = vault.snapshots(None)?;
    let copy_of = |job: &Job| {
        let tag = server_tag(job.id);
        copies.iter().rev().find(|copy| copy.tags.first() == Some(&tag)).cloned()
    };
    let fits = |job: &Job| only.is_none_or(|only| only == job.id);
    let with_its_copy = |job: Job| copy_of(&job).map(|copy| (job, copy));
    let mut with_copy: Vec<(Job, Snapshot)> =
        jobs.into_iter().filter(fits).filter_map(with_its_copy).collect();
    if with_copy.is_empty() {
        return Err(only.map_or(BackupError::NothingToTry, BackupError::NoCopy));
    }
    let at = by_chance(with_copy.len()).map_err(BackupError::Chance)?;
    Ok(with_copy.swap_remove(at))
}

/// Restores a copy into a place of the reconciler's, and has it started. The place goes, whatever happens.
async fn attempt(
    means: &Arc<Means>,
    id: ServerId,
    snapshot: &Snapshot,
) -> Result<(u64, Booted), BackupError> {
    let room = means.daemon().await?.drill(&DrillOrder { server: id }).await.map_err(BackupError::Daemon)?;
    let tried = within(means, &room, snapshot).await;
    let ended = room.end(&means.socket).await.map_err(BackupError::Daemon);
    let tried = tried?;
    ended?;
    Ok(tried)
}

async fn within(means: &Arc<Means>, room: &Drill, snapshot: &Snapshot) -> Result<(u64, Booted), BackupError> {
    let mut places = means.volumes().await?;
    places.retain(|volume| volume.of == VolumeOf::Drill);
    let (own, copy) = (Arc::clone(means), snapshot.clone());
    let files = blocking(move || put(&own.vault, &copy, &places)).await?;
    Ok((files, room.boot(&means.socket).await.map_err(BackupError::Daemon)?))
}

/// Puts a copy into volumes, and reads every file of it back. Returns the number of files.
fn put(vault: &Vault, snapshot: &Snapshot, places: &[VolumeSight]) -> Result<u64, BackupError> {
    let first = places.first().ok_or(BackupError::NothingToTry)?;
    require_space(vault, snapshot, &first.folder)?;
    let mut files = 0;
    for VolumeSight { name, folder, .. } in places {
        let failed = |source| BackupError::Place { path: folder.clone(), source };
        let (_, end) = name.rsplit_once('-').unwrap_or_default();
        // Beside the volume's folder, where no container sees it; it goes with the volume.
        let stage = folder.parent().unwrap_or(folder).join("restored");
        vault.restore_verified(&snapshot.id, &format!("/{end}"), &stage)?;
        let restored = stage.join(end);
        files += count(&restored).map_err(failed)?;
        fs::rename(&restored, folder).map_err(failed)?;
    }
    Ok(files)
}

/// A number below this one.
fn by_chance(of: usize) -> io::Result<usize> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(usize::try_from(u64::from_ne_bytes(bytes) >> 1).unwrap_or_default() % of.max(1))
}

/// Files below a folder, of any kind but folders.
fn count(folder: &Path) -> io::Result<u64> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // No link is followed.
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}
