//! Packing: what pushes leave in a repository, put together by size.
//!
//! Each push leaves a file for each object, a folder of ten thousand names among them. Git's own housekeeping counts objects, and
//! begins when they are hundreds of megabytes. Nothing is dropped here: objects that no branch leads to are packed, too, so a push that
//! is just coming in loses nothing.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_host::process::Stopped;
use git2::{Oid, Repository};

use crate::Error;
use crate::git::{Git, GitError};

/// Time that git may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Bytes in loose objects that are put together.
const BYTES: u64 = 8 << 20;
/// Loose objects that are put together, however small.
const LOOSE: usize = 500;
/// Packs that are put together.
const PACKS: usize = 10;

/// Objects of one repository as files: loose ones, and packs.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    loose: Vec<PathBuf>,
    /// Bytes of the loose objects.
    bytes: u64,
    /// Paths of packs, without an ending.
    packs: Vec<PathBuf>,
    /// Change of the pack that changed last.
    pub(crate) newest: Option<SystemTime>,
}

impl Heap {
    /// Looks through a folder of objects. A pack that git keeps, as it does while a push comes in, isn't counted.
    pub(crate) fn of(objects: &Path) -> io::Result<Self> {
        let mut heap = Self::default();
        for folder in fs::read_dir(objects)? {
            let folder = folder?;
            let name = folder.file_name();
            if !name
                .to_str()
                .is_some_and(|name| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
            {
                continue;
            }
            for object in entries(&folder.path())? {
                // Git's own temporary files have other names.
                if object.file_name().to_string_lossy().len() == 38
                    && let Ok(found) = object.metadata()
                {
                    heap.bytes += found.len();
                    heap.loose.push(object.path());
                }
            }
        }
        for file in entries(&objects.join("pack"))? {
            let path = file.path();
            if path.extension() == Some(OsStr::new("pack")) && !path.with_extension("keep").exists() {
                heap.newest = heap.newest.max(file.metadata().and_then(|found| found.modified()).ok());
                heap.packs.push(path.with_extension(""));
            }
        }
        Ok(heap)
    }

    /// Returns whether it should be put together.
    pub(crate) fn is_due(&self) -> bool {
        self.bytes > BYTES || self.loose.len() > LOOSE || self.packs.len() > PACKS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.loose.is_empty() && self.packs.is_empty()
    }

    /// Removes what it found, all of which is elsewhere by now, but for the pack of this name.
    pub(crate) fn remove(&self, but: Option<&str>) -> io::Result<()> {
        for pack in &self.packs {
            if pack.file_name().and_then(OsStr::to_str) == but {
                continue;
            }
            // The index first: without it nobody looks into the pack.
            for ending in ["idx", "rev", "bitmap", "mtimes", "pack"] {
                gone(fs::remove_file(pack.with_extension(ending)))?;
            }
        }
        for object in &self.loose {
            gone(fs::remove_file(object))?;
            if let Some(folder) = object.parent() {
                // Goes when it is empty.
                let _ = fs::remove_dir(folder);
            }
        }
        Ok(())
    }
}

fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Writes a pack of exactly these objects of a repository, which may hold them in memory, into the folder of another one. Each comes with
/// a path at which it lies, by which git sees what may be alike. Returns the pack's name, without an ending.
pub(crate) fn write_pack<'p>(
    from: &Repository,
    git_dir: &Path,
    objects: impl IntoIterator<Item = (Oid, &'p [u8])>,
) -> Result<String, git2::Error> {
    let mut builder = from.packbuilder()?;
    for (id, path) in objects {
        builder.insert_object(id, std::str::from_utf8(path).ok())?;
    }
    builder.write(&git_dir.join("objects/pack"), 0o400)?;
    let name = builder.name()?.ok_or_else(|| git2::Error::from_str("a pack has no name"))?;
    Ok(format!("pack-{name}"))
}

/// Puts loose objects and small packs of a repository together, where they take much room or are many. Returns whether they did.
pub(crate) fn pack_if_due(git_dir: &Path, stopped: &Arc<Stopped>) -> Result<bool, Error> {
    let objects = git_dir.join("objects");
    let heap = Heap::of(&objects).map_err(|source| Error::Pack { path: objects, source: source.into() })?;
    if !heap.is_due() {
        return Ok(false);
    }
    roll_up(git_dir, Some(stopped))
        .map_err(|source| Error::Pack { path: git_dir.to_owned(), source: source.into() })?;
    tracing::info!(repository = %git_dir.display(), loose = heap.loose.len(), bytes = heap.bytes, packs = heap.packs.len(), "packed");
    Ok(true)
}

/// Puts loose objects and small packs together, so that each pack that is left has twice the objects of the next smaller one.
/// Nothing is walked through and nothing is dropped.
pub(crate) fn roll_up(git_dir: &Path, stopped: Option<&Arc<Stopped>>) -> Result<(), GitError> {
    let git = Git::at(git_dir, PATIENCE).config("repack.writeBitmaps", "false").config("pack.threads", "1");
    let git = match stopped {
        Some(stopped) => git.until(Arc::clone(stopped)),
        None => git,
    };
    git.run("repack", ["-d", "-q", "--geometric=2"])?.ended.expect_success()
}
