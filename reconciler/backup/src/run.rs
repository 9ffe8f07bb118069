//! A run: the platform and every server are copied, one after the other. What fails stops nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use berth_fault::chain;
use berth_host::FileLock;
use berth_schema::backup::{Keep, Pause, ServerBackup};
use berth_schema::name::ServerId;
use berth_wire::client::Daemon;
use berth_wire::hold::{HoldOrder, VolumeOf, VolumeSight};
use jiff::Timestamp;

use crate::copy::{Sources, is_cache};
use crate::error::BackupError;
use crate::record::{Part, PartRecord, PartResult, RunRecord, Runs, server_tag};
use crate::vault::{Copied, Order, Vault, VaultError};
use crate::view::{Shown, within};

/// Tag of a copy that is made while its server runs, so that little is left to copy while it stands still. It is forgotten at once.
const WARM: &str = "warm";

/// Writes the state repo, as it is at this moment, into one file.
pub type Bundle = dyn Fn(&Path) -> Result<(), String> + Send + Sync;

/// Everything that a run needs.
#[expect(missing_docs, reason = "the types say it")]
pub struct Means {
    pub vault: Vault,
    pub sources: Sources,
    /// Folder of the records, the lock and restic's cache.
    pub folder: PathBuf,
    /// The reconciler's control socket.
    pub socket: PathBuf,
    pub keep: Keep,
    pub bundle: Box<Bundle>,
}

/// A server of the state repo.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Job {
    pub id: ServerId,
    pub name: String,
    pub backup: ServerBackup,
}

/// Progress of a run.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A part has begun, the number of so many.
    Begun {
        /// The part.
        part: &'a Part,
        /// Its number, from 1.
        number: usize,
        /// The number of all parts.
        of: usize,
    },
    /// This share of it is done, from 0 to 1.
    Done(f64),
    /// It has ended.
    Ended(&'a PartRecord),
}

/// Whoever hears of a run's progress.
pub type Heard = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// Whoever hears how much of a part is done.
type Share = dyn Fn(f64) + Send + Sync;

impl Means {
    /// Takes the lock that every backup and restore of this host holds.
    pub(crate) fn lock(&self) -> Result<FileLock, BackupError> {
        let failed = |source| BackupError::Folder { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        FileLock::try_take(&self.folder.join("lock")).map_err(failed)?.ok_or(BackupError::Busy)
    }

    /// Checks that whoever asked still wants an end: one that was cut off is none.
    pub(crate) fn require_time(&self) -> Result<(), BackupError> {
        match self.vault.is_stopped() {
            true => Err(VaultError::Killed { act: "finish" }.into()),
            false => Ok(()),
        }
    }

    /// Makes the repository ready, and forgets what a run that was killed has left in it.
    fn prepare(&self) -> Result<(), BackupError> {
        self.vault.prepare()?;
        for left in self.vault.snapshots(Some(WARM))? {
            self.vault.forget(&left.id)?;
        }
        Ok(())
    }

    /// Asks the reconciler where the platform's volumes lie.
    pub(crate) async fn volumes(&self) -> Result<Vec<VolumeSight>, BackupError> {
        let mut daemon = self.daemon().await?;
        daemon.volumes().await.map_err(BackupError::Daemon)?.ok_or(BackupError::TooEarly)
    }

    pub(crate) async fn daemon(&self) -> Result<Daemon, BackupError> {
        Daemon::find(&self.socket).await.map_err(BackupError::Daemon)?.ok_or(BackupError::NoDaemon)
    }

    /// Copies folders as one copy. Only what has changed since `parent` is read.
    fn copy(
        &self,
        part: &Part,
        tag: &str,
        shown: &[Shown],
        parent: Option<&str>,
        heard: &Share,
    ) -> Result<Copied, BackupError> {
        let root = self.folder.join("view").join(part.tag());
        let names: Vec<String> = shown.iter().map(|shown| shown.name.clone()).collect();
        let without = Sources::without(&root);
        let order = Order { within: &root, names: &names, without: &without, tag, parent };
        let copied = within(&root, shown, || self.vault.copy(&order, &|share| heard(share)));
        Ok(copied.map_err(|source| BackupError::Folder { path: root.clone(), source })??)
    }

    /// The last copy of this tag.
    fn last(&self, tag: &str) -> Result<Option<String>, BackupError> {
        Ok(self.vault.snapshots(Some(tag))?.pop().map(|snapshot| snapshot.id))
    }
}

/// Copies everything, or one server alone, and writes the record of it down.
pub async fn run(
    means: Arc<Means>,
    jobs: Vec<Job>,
    only: Option<ServerId>,
    heard: Heard,
) -> Result<RunRecord, BackupError> {
    let _lock = means.lock()?;
    let began = Timestamp::now();
    let own = Arc::clone(&means);
    blocking(move || own.prepare()).await?;
    // Without the reconciler, the platform is copied all the same, and each server says why it isn't. One that has just started knows
    // them in a moment.
    let volumes = match means.volumes().await {
        Err(early @ BackupError::TooEarly) => return Err(early),
        volumes => volumes,
    };
    let parts = parts_of(&jobs, volumes.as_deref().unwrap_or_default(), only);
    if let (Some(only), true) = (only, parts.is_empty()) {
        return Err(BackupError::NoData(only));
    }
    let mut records = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        heard(Progress::Begun { part, number: at + 1, of: parts.len() });
        let begun = Instant::now();
        let result = match (part, &volumes) {
            (Part::Platform, _) => platform(&means, &heard).await,
            (Part::Tidy, _) => tidy(&means).await,
            (_, Err(error)) => Ok(PartResult::Failed { error: chain(error) }),
            (Part::Volumes, Ok(volumes)) => own_volumes(&means, volumes, &heard).await,
            (Part::Server { id, .. }, Ok(volumes)) => {
                let backup = jobs.iter().find(|job| job.id == *id).map(|job| &job.backup);
                server(&means, part, *id, backup, volumes, &heard).await
            }
        };
        let result = result.unwrap_or_else(|error| PartResult::Failed { error: chain(&error) });
        let record = PartRecord { part: part.clone(), result, millis: millis(begun) };
        heard(Progress::Ended(&record));
        records.push(record);
    }
    means.require_time()?;
    let record = RunRecord { began, ended: Timestamp::now(), whole: only.is_none(), parts: records };
    let failed = |source| BackupError::Folder { path: means.folder.clone(), source };
    Runs::of(&means.folder).add(&record).map_err(failed)?;
    Ok(record)
}

/// The parts of a run: of everything, also the servers that are removed and whose data is still kept.
fn parts_of(jobs: &[Job], volumes: &[VolumeSight], only: Option<ServerId>) -> Vec<Part> {
    let named = jobs.iter().map(|job| (job.id, job.name.clone()));
    let removed = volumes.iter().filter_map(|volume| match volume.of {
        VolumeOf::Data(id) => Some((id, format!("server{id}"))),
        VolumeOf::Restored(_) | VolumeOf::System | VolumeOf::Drill => None,
    });
    // The state repo's names come last, and so win.
    let all: std::collections::BTreeMap<ServerId, String> = removed.chain(named).collect();
    let servers = all.into_iter().filter(|(id, _)| only.is_none_or(|only| only == *id));
    let servers = servers.map(|(id, name)| Part::Server { id, name });
    match only {
        Some(_) => servers.collect(),
        None => [Part::Platform, Part::Volumes].into_iter().chain(servers).chain([Part::Tidy]).collect(),
    }
}

async fn platform(means: &Arc<Means>, heard: &Heard) -> Result<PartResult, BackupError> {
    let (means, heard) = (Arc::clone(means), share_of(heard));
    blocking(move || {
        (means.bundle)(&means.folder.join("state.bundle")).map_err(|why| BackupError::State { why })?;
        let (part, shown) = (Part::Platform, means.sources.shown());
        let last = means.last(&part.tag())?;
        Ok(done(means.copy(&part, &part.tag(), &shown, last.as_deref(), &*heard)?, 0))
    })
    .await
}

async fn own_volumes(
    means: &Arc<Means>,
    volumes: &[VolumeSight],
    heard: &Heard,
) -> Result<PartResult, BackupError> {
    let own = volumes.iter().filter(|volume| volume.of == VolumeOf::System && !is_cache(&volume.name));
    let shown: Vec<Shown> =
        own.map(|volume| Shown { name: volume.name.clone(), folder: volume.folder.clone() }).collect();
    if shown.is_empty() {
        return Ok(PartResult::Off);
    }
    let (means, heard) = (Arc::clone(means), share_of(heard));
    blocking(move || {
        let part = Part::Volumes;
        let last = means.last(&part.tag())?;
        Ok(done(means.copy(&part, &part.tag(), &shown, last.as_deref(), &*heard)?, 0))
    })
    .await
}

/// Copies a server twice where it has to stand still: while it runs, and then what has changed meanwhile.
async fn server(
    means: &Arc<Means>,
    part: &Part,
    id: ServerId,
    backup: Option<&ServerBackup>,
    volumes: &[VolumeSight],
    heard: &Heard,
) -> Result<PartResult, BackupError> {
    let shown = data_of(id, volumes);
    if backup.is_some_and(|backup| !backup.enabled) {
        return Ok(PartResult::Off);
    }
    if shown.is_empty() {
        return Err(BackupError::NoData(id));
    }
    let copy = |tag: String, parent: Option<String>| {
        let (means, part, shown, heard) = (Arc::clone(means), part.clone(), shown.clone(), share_of(heard));
        blocking(move || {
            let parent = match parent {
                Some(parent) => Some(parent),
                None => means.last(&server_tag(id))?,
            };
            means.copy(&part, &tag, &shown, parent.as_deref(), &*heard)
        })
    };
    let Some(backup) = backup else {
        // It is removed: nothing of it runs.
        return Ok(done(copy(server_tag(id), None).await?, 0));
    };
    let stands = backup.pause != Pause::None;
    // Also where it runs on: between what its owner has run before and after the copy, little time may go by.
    let warm = copy(WARM.to_owned(), None).await?.snapshot;
    let order = HoldOrder {
        server: id,
        pause: backup.pause,
        before: backup.before.clone(),
        after: backup.after.clone(),
    };
    let held = async {
        let hold = means.daemon().await?.hold(&order).await.map_err(BackupError::Daemon)?;
        let since = Instant::now();
        let copied = copy(server_tag(id), Some(warm.clone())).await;
        let released = hold.release(&means.socket).await.map_err(BackupError::Daemon);
        let paused = if stands { millis(since) } else { 0 };
        Ok((copied?, released, paused))
    };
    let held: Result<_, BackupError> = held.await;
    let own = Arc::clone(means);
    blocking(move || Ok(own.vault.forget(&warm)?)).await?;
    let (copied, released, paused) = held?;
    if let Err(error) = released {
        // It may have run on too early: what was copied isn't what it should be.
        let own = Arc::clone(means);
        blocking(move || Ok(own.vault.forget(&copied.snapshot)?)).await?;
        return Err(error);
    }
    Ok(done(copied, paused))
}

/// The data volumes of a server, by the ends of their names.
pub(crate) fn data_of(id: ServerId, volumes: &[VolumeSight]) -> Vec<Shown> {
    let own = volumes.iter().filter(|volume| volume.of == VolumeOf::Data(id));
    let shown = own.filter_map(|volume| {
        let (_, end) = volume.name.rsplit_once('-')?;
        Some(Shown { name: end.to_owned(), folder: volume.folder.clone() })
    });
    let mut shown: Vec<Shown> = shown.collect();
    shown.sort_by(|one, other| one.name.cmp(&other.name));
    shown
}

async fn tidy(means: &Arc<Means>) -> Result<PartResult, BackupError> {
    let means = Arc::clone(means);
    blocking(move || {
        means.vault.tidy(&means.keep)?;
        Ok(PartResult::Tidied)
    })
    .await
}

fn done(copied: Copied, paused: u64) -> PartResult {
    let Copied { snapshot, bytes, added, unread } = copied;
    PartResult::Done { snapshot, bytes, added, unread, paused }
}

fn share_of(heard: &Heard) -> Arc<Share> {
    let heard = Arc::clone(heard);
    Arc::new(move |share| heard(Progress::Done(share)))
}

fn millis(since: Instant) -> u64 {
    since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}

/// Does what takes its time where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(BackupError::Broken))
}
