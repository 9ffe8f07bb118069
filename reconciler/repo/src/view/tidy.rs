//! Housekeeping of views: what members pushed and what was shown to them becomes one pack, without what the shared store has by now.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_host::FileLock;
use berth_host::process::Stopped;
use git2::{Odb, OdbLookupFlags, Oid, Repository};

use super::copy::copy;
use super::error::{ViewError, file, git};
use super::shared::{self, Shared};
use super::{Views, alternates};
use crate::packing::{self, Heap};
use crate::source::read_too;

/// Age from which a file of git's that never became an object is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

impl Views {
    /// Fills the shared store, and puts together what lies about in it, in the views and in the state repo. Every part can be
    /// ended at any moment, and goes on the next time. Views that somebody uses are left alone. Git ends when somebody drops the other
    /// half of `stopped`. Returns how many repositories were packed.
    pub fn tidy(&self, stopped: &Arc<Stopped>) -> Result<usize, ViewError> {
        clear(&self.state)?;
        let mut packed = usize::from(packing::pack_if_due(&self.state, stopped)?);
        if let Some(store) = shared::sweep(&self.folder)? {
            let real = Repository::open_bare(&self.state).map_err(git("open the state repo"))?;
            Shared::filled(&self.folder, &real, &|_| {})?;
            clear(&store)?;
            packed += usize::from(packing::pack_if_due(&store, stopped)?);
        }
        let failed = file("read", &self.folder);
        let entries = fs::read_dir(&self.folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(failed)? {
            let path = entry.path();
            if path.extension() == Some(OsStr::new("git")) && self.tidy_view(&path)? {
                packed += 1;
            }
        }
        Ok(packed)
    }

    fn tidy_view(&self, path: &Path) -> Result<bool, ViewError> {
        let lock = path.with_extension("lock");
        let Some(_lock) = FileLock::try_take(&lock).map_err(file("lock", &lock))? else { return Ok(false) };
        clear(path)?;
        let objects = path.join("objects");
        let heap = Heap::of(&objects).map_err(file("look at", &objects))?;
        // One that reads the store for the first time has all of it once more.
        let moved = fs::metadata(path.join(alternates::FILE)).and_then(|found| found.modified()).ok();
        let is_double = moved > heap.newest && !heap.is_empty();
        if !heap.is_due() && !is_double {
            return Ok(false);
        }
        pack(path)?;
        Ok(true)
    }
}

/// Removes what a git or a process of ours that was ended left half written in a repository: git's own housekeeping, which knows these
/// names, doesn't run there.
fn clear(path: &Path) -> Result<(), ViewError> {
    let objects = path.join("objects");
    for (folder, prefixes) in
        [(objects.clone(), &["tmp_"][..]), (objects.join("pack"), &["tmp_", ".tmp-", "pack_git2_"])]
    {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(file("read", &folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(file("read", &folder))?;
            let name = entry.file_name();
            let is_temporary =
                name.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
            // Whoever made it may have taken it away or given it its name.
            let Ok(found) = entry.metadata() else { continue };
            let age =
                found.modified().ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
            if !is_temporary || age.is_none_or(|age| age < ABANDONED) {
                continue;
            }
            let path = entry.path();
            let removed = if found.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(file("remove", path)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Packs the view at `path` anew. Nothing that it holds is lost, and whoever reads it meanwhile finds each object in the old place or
/// in the new one.
pub(super) fn pack(path: &Path) -> Result<(), ViewError> {
    let objects = path.join("objects");
    let heap = Heap::of(&objects).map_err(file("look at", &objects))?;
    let shared = match alternates::read(path)? {
        Some(relative) if objects.join(&relative).is_dir() => Some(objects.join(relative)),
        // Its store is gone, and it is made anew when somebody looks.
        Some(_) => return Ok(()),
        None => None,
    };
    let list = own_objects(&objects, shared.as_deref()).map_err(git("read the view"))?;
    let made = copy(None, path, &list)?;
    heap.remove(made.as_deref()).map_err(file("remove what is packed in", &objects))
}

/// The objects that a view has and the store hasn't.
fn own_objects(objects: &Path, shared: Option<&Path>) -> Result<Vec<(Oid, Vec<u8>)>, git2::Error> {
    let (all, others) = (Odb::new()?, Odb::new()?);
    read_too(&all, objects)?;
    shared.map(|shared| read_too(&others, shared)).transpose()?;
    let mut own = Vec::new();
    all.foreach(|id| {
        if !others.exists_ext(*id, OdbLookupFlags::NO_REFRESH) {
            own.push((*id, Vec::new()));
        }
        true
    })?;
    own.sort_unstable();
    own.dedup();
    Ok(own)
}
