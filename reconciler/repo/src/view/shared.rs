//! The shared store: the files and folders that every member may see, once for all views.
//!
//! Owns a repository beside the views that holds files and folders of `main` as they are shown to a member whose own file is none of
//! them, and a table: which of these folders stands for which commit. Views read it by `objects/info/alternates`. Git hands out
//! whatever is asked for by its id, so nothing comes in but what lies in such a folder: no commit, no proposal, no member's file.
//! Another store begins once something that was shown is shown no more, and views that read the one before are made anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use berth_host::FileLock;
use berth_schema::view::RULES;
use git2::{ErrorCode, FileMode, ObjectType, Oid, Repository};

use super::changed::{self, Changed};
use super::error::{ViewError, file, git};
use super::eye::Eye;
use super::flat;
use super::pages::Pages;
use super::progress::{Progress, Tell};
use super::room::Room;
use crate::tree::{self, Trees};
use crate::{MAIN, beside, packing};

/// The folder of the stores, beside the views. No member has such a name.
const FOLDER: &str = ".shared";
/// A file that names the store that counts.
const CURRENT: &str = "current";
/// A file that is locked by whoever fills a store.
const LOCK: &str = "lock";
/// The table's file in a store.
const TABLE: &str = "berth-folders";
const OID: usize = 20;
/// Two ids: a commit of the state repo, then the root folder that members see of it.
const RECORD: usize = 2 * OID;
/// Commits after which what was made so far is kept.
const BATCH: usize = 500;
/// Longest that somebody waits for another who fills the store.
const PATIENCE: Duration = Duration::from_secs(840);
/// Time after which whoever waits is told so again.
const AGAIN: Duration = Duration::from_secs(15);
/// Time for which a store that doesn't count any more may still be read: longer than a command may take.
const KEPT: Duration = Duration::from_secs(3600);

/// A store, as far as it is filled.
#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    /// Members see the wiki in it.
    pages: Pages,
    /// The root folder that stands for a commit of `main`.
    folders: HashMap<Oid, Oid>,
    /// The commit whose folder came last.
    last: Option<Oid>,
}

impl Shared {
    /// The path of the objects that a view beside it reads, from the view's own: the whole may be moved. `None` while there is no
    /// store.
    pub(super) fn objects_of_current(views: &Path) -> Result<Option<String>, ViewError> {
        Ok(current(views)?.map(|name| objects_of(&name)))
    }

    /// The same of this one.
    pub(super) fn objects(&self) -> String {
        objects_of(&self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    pub(super) fn pages(&self) -> Pages {
        self.pages
    }

    /// The commit of `main` up to which it is filled.
    pub(super) fn tip(&self) -> Option<Oid> {
        self.last
    }

    /// The root folder that stands for a commit of `main`.
    pub(super) fn folder_of(&self, commit: Oid) -> Option<Oid> {
        self.folders.get(&commit).copied()
    }

    /// Fills the store up to `main`, unless it is, and returns it. One fills it at a time; others wait, and are told.
    pub(super) fn filled(views: &Path, real: &Repository, tell: Tell<'_>) -> Result<Self, ViewError> {
        // The store first: whatever it has, main had before.
        let store = Self::load(views)?;
        let (tip, pages) = main(real)?;
        let is_filled = |store: &Self| store.last == Some(tip) && store.pages == pages && store.holds(tip);
        if let Some(store) = store.filter(is_filled) {
            return Ok(store);
        }
        let folder = views.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(file("make", &folder))?;
        let _lock = wait(views, tell)?;
        let store = Self::load(views)?;
        let (tip, pages) = main(real)?;
        let mut store = match store {
            Some(store) if store.pages == pages && store.leads_to(real, tip)? => store,
            _ => Self::begin(views, pages)?,
        };
        store.fill(real, tip, tell)?;
        Ok(store)
    }

    /// Reads the store that counts, if it was made by these rules.
    fn load(views: &Path) -> Result<Option<Self>, ViewError> {
        let Some(name) = current(views)? else { return Ok(None) };
        let path = views.join(FOLDER).join(name);
        let table = path.join(TABLE);
        let bytes = match fs::read(&table) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(file("read", table)(source)),
        };
        for pages in [Pages::Shown, Pages::Hidden] {
            let Some(records) = bytes.strip_prefix(heading(pages).as_slice()) else { continue };
            let mut store = Self { path, pages, folders: HashMap::new(), last: None };
            // A crash may have cut off the last record, which then counts for nothing.
            for record in records.chunks_exact(RECORD) {
                let (commit, folder) = record.split_at(OID);
                if let (Ok(commit), Ok(folder)) = (Oid::from_bytes(commit), Oid::from_bytes(folder)) {
                    store.folders.insert(commit, folder);
                    store.last = Some(commit);
                }
            }
            return Ok(Some(store));
        }
        Ok(None)
    }

    /// Returns whether everything in it is still main's: history that was taken away is shown to nobody any more.
    fn leads_to(&self, real: &Repository, tip: Oid) -> Result<bool, ViewError> {
        let Some(last) = self.last else { return Ok(true) };
        let leads = last == tip
            || match real.graph_descendant_of(tip, last) {
                Ok(leads) => leads,
                Err(error) if error.code() == ErrorCode::NotFound => false,
                Err(error) => return Err(git("walk the state repo's history")(error)),
            };
        Ok(leads && self.holds(last))
    }

    /// Returns whether the folder that stands for a commit can be read. A loss of power may have kept the table and not the objects,
    /// or their files without what was in them.
    fn holds(&self, commit: Oid) -> bool {
        let Some(folder) = self.folder_of(commit) else { return false };
        let Ok(store) = Repository::open_bare(&self.path) else { return false };
        store.odb().is_ok_and(|objects| objects.read(folder).is_ok())
    }

    /// Begins another store, which counts from now on.
    fn begin(views: &Path, pages: Pages) -> Result<Self, ViewError> {
        let all = views.join(FOLDER);
        let made = tempfile::Builder::new()
            .prefix("store-")
            .tempdir_in(&all)
            .map_err(file("make a folder in", &all))?;
        beside::make(made.path()).map_err(git("make a store of what members share"))?;
        let table = made.path().join(TABLE);
        fs::write(&table, heading(pages)).map_err(file("write", &table))?;
        let path = made.keep();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let current = all.join(CURRENT);
        berth_host::file::replace(&current, name.as_bytes(), 0o600).map_err(file("write", current))?;
        tracing::info!(store = name, "a store of what members share begins");
        Ok(Self { path, pages, folders: HashMap::new(), last: None })
    }

    /// Takes in the commits up to `tip` that aren't there yet.
    fn fill(&mut self, real: &Repository, tip: Oid, tell: Tell<'_>) -> Result<(), ViewError> {
        let new = self.unseen(real, tip).map_err(git("walk the state repo's history"))?;
        let of = new.len();
        let theirs = real.commondir().join("objects");
        let is_first = self.last.is_none();
        let pairs: Vec<_> =
            new.iter().map(|commit| (commit.before.map(|(tree, _)| tree), commit.tree)).collect();
        let mut room = Some(Room::open(&self.path, Some(&theirs))?);
        let eye = Eye::of_everybody(self.pages);
        let mut made = Vec::new();
        tell(Progress::Shared { done: 0, of });
        changed::tell(real.path(), &pairs, |number, changed| {
            let (Some(commit), Some(inside)) = (new.get(number), room.as_mut()) else { return Ok(()) };
            let folder = self.show(real, inside, &eye, commit, changed);
            let folder = folder.map_err(git(format!("show the commit {}", commit.id)))?;
            self.folders.insert(commit.id, folder);
            made.push((commit.id, folder));
            let done = number + 1;
            if inside.is_full() || done % BATCH == 0 || done == of {
                // Whoever ends this process now loses what comes next, and nothing of what was made.
                if let Some(full) = room.take() {
                    full.keep(is_first || of > BATCH)?;
                }
                self.append(&made)?;
                made.clear();
                room = Some(Room::open(&self.path, Some(&theirs))?);
            }
            tell(Progress::Shared { done, of });
            Ok(())
        })?;
        self.last = Some(tip);
        if of > BATCH {
            packing::roll_up(&self.path, None)
                .map_err(|source| ViewError::Copy { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    /// The commits up to `tip` that the store doesn't have, parents first.
    fn unseen(&self, real: &Repository, tip: Oid) -> Result<Vec<Unseen>, git2::Error> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut stack = vec![(tip, false)];
        while let Some((id, parents_are_done)) = stack.pop() {
            if parents_are_done {
                let commit = real.find_commit(id)?;
                let before = commit.parents().next().map(|parent| (parent.tree_id(), parent.id()));
                found.push(Unseen { id, tree: commit.tree_id(), before });
            } else if seen.insert(id) && !self.folders.contains_key(&id) {
                stack.push((id, true));
                stack.extend(real.find_commit(id)?.parent_ids().map(|parent| (parent, false)));
            }
        }
        Ok(found)
    }

    /// Makes the root folder of one commit as all members see it.
    fn show(
        &self,
        real: &Repository,
        room: &mut Room,
        eye: &Eye<'_>,
        commit: &Unseen,
        changed: &[Changed],
    ) -> Result<Oid, git2::Error> {
        let objects = real.odb()?;
        let after = objects.read(commit.tree)?.data().to_vec();
        let (before, shown_before) = match commit.before {
            Some((tree, parent)) => {
                let shown =
                    self.folder_of(parent).ok_or_else(|| git2::Error::from_str("a parent isn't shown"))?;
                (objects.read(tree)?.data().to_vec(), Some(shown))
            }
            None => (Vec::new(), None),
        };
        let mut root = shown_before.map(|id| room.read(id)).transpose()?.unwrap_or_default();
        let mut tops: BTreeMap<&[u8], Vec<&Changed>> = BTreeMap::new();
        for one in changed {
            let top = one.path.split(|byte| *byte == b'/').next().unwrap_or_default();
            tops.entry(top).or_default().push(one);
        }
        let mut deep = Vec::new();
        for (top, changed) in tops {
            let mut entries = Vec::new();
            for one in &changed {
                if let Some(entry) = one.file() {
                    entries.push((one, entry, eye.show(real, room, &one.path, entry)?));
                }
            }
            let shown = flat::find(&root, top).map(|(id, _)| id);
            let was_folder =
                |folder: &[u8]| flat::find(folder, top).is_none_or(|(_, mode)| flat::of_file(mode).is_none());
            let is_folder = was_folder(&before) && was_folder(&after) && was_folder(&root);
            let is_whole = is_folder
                && shown == flat::folder(&before, top)
                && entries.iter().all(|(_, real, shown)| real == shown);
            let set = if is_whole {
                // Members see it as it is: it needn't be put together again from its ten thousand files.
                for (id, path) in changed.iter().filter_map(|one| Some((one.object()?, &one.path))) {
                    room.take(id, path)?;
                }
                flat::folder(&after, top).map(|id| (id, FileMode::Tree))
            } else {
                let sets: Vec<_> =
                    entries.into_iter().map(|(one, _, shown)| (one.path.clone(), shown)).collect();
                match own_entries(room, top, shown.filter(|_| is_folder), &sets)? {
                    Some(set) => set,
                    None => {
                        deep.extend(sets);
                        continue;
                    }
                }
            };
            root = flat::with(&root, top, set)
                .ok_or_else(|| git2::Error::from_str("a folder isn't as git writes it"))?;
        }
        let root = room.write(ObjectType::Tree, &root, b"")?;
        if deep.is_empty() {
            return Ok(root);
        }
        let made = tree::changed(room.repository(), root, &deep)?;
        let added = Trees::new(room.repository()).added(shown_before, made)?;
        for (id, path) in added {
            room.take(id, &path)?;
        }
        Ok(made)
    }

    fn append(&self, made: &[(Oid, Oid)]) -> Result<(), ViewError> {
        let mut records = Vec::with_capacity(made.len() * RECORD);
        for (commit, folder) in made {
            records.extend_from_slice(commit.as_bytes());
            records.extend_from_slice(folder.as_bytes());
        }
        let table = self.path.join(TABLE);
        let append = || {
            let mut file = File::options().read(true).append(true).open(&table)?;
            // Whoever was ended in the middle of a record left a part of it.
            let torn = file.metadata()?.len() % RECORD as u64;
            if torn > 0 {
                file.set_len(file.metadata()?.len() - torn)?;
            }
            file.write_all(&records)
        };
        append().map_err(file("write", &table))
    }
}

/// A commit that the store doesn't have yet.
struct Unseen {
    id: Oid,
    tree: Oid,
    /// Its first parent's tree, and that parent.
    before: Option<(Oid, Oid)>,
}

/// Sets entries of a top folder itself, and returns what the root gets. `None` where some lie deeper, or are too many to set one by one.
fn own_entries(
    room: &mut Room,
    top: &[u8],
    folder: Option<Oid>,
    sets: &[(Vec<u8>, Option<tree::Entry>)],
) -> Result<Option<flat::Set>, git2::Error> {
    /// Entries that are set one by one; each costs a walk through the folder.
    const MOST: usize = 200;
    if sets.len() > MOST {
        return Ok(None);
    }
    if let [(path, shown)] = sets
        && path == top
        && folder.is_none()
    {
        return Ok(Some(shown.map(|entry| (entry.id, entry.mode))));
    }
    let mut bytes = folder.map(|id| room.read(id)).transpose()?.unwrap_or_default();
    for (path, shown) in sets {
        let name = path.strip_prefix(top).and_then(|rest| rest.strip_prefix(b"/"));
        let Some(name) = name.filter(|name| !name.is_empty() && !name.contains(&b'/')) else {
            return Ok(None);
        };
        let set = shown.map(|entry| (entry.id, entry.mode));
        let there = flat::find(&bytes, name);
        // A folder of that name isn't a file's to take away.
        if there.is_some_and(|(_, mode)| flat::of_file(mode).is_none()) {
            return Ok(None);
        }
        match flat::with(&bytes, name, set) {
            Some(changed) => bytes = changed,
            None => return Ok(None),
        }
    }
    if bytes.is_empty() {
        return Ok(Some(None));
    }
    Ok(Some(Some((room.write(ObjectType::Tree, &bytes, top)?, FileMode::Tree))))
}

/// Main's tip, and whether members see the wiki there.
fn main(real: &Repository) -> Result<(Oid, Pages), ViewError> {
    let tip = real.refname_to_id(MAIN).map_err(git("read main"))?;
    Ok((tip, Pages::read_at(real, tip)?))
}

/// Waits until nobody else fills a store.
fn wait(views: &Path, tell: Tell<'_>) -> Result<FileLock, ViewError> {
    let path = views.join(FOLDER).join(LOCK);
    let failed = |source| file("lock", &path)(source);
    if let Some(lock) = FileLock::try_take(&path).map_err(failed)? {
        return Ok(lock);
    }
    let begun = Instant::now();
    loop {
        let done = Shared::load(views)?.map_or(0, |store| store.folders.len());
        tell(Progress::Waits { done });
        match FileLock::take(&path, AGAIN) {
            Ok(lock) => return Ok(lock),
            Err(error) if error.kind() == io::ErrorKind::TimedOut && begun.elapsed() < PATIENCE => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(ViewError::Line { after: PATIENCE });
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Name of the store that counts.
fn current(views: &Path) -> Result<Option<String>, ViewError> {
    let path = views.join(FOLDER).join(CURRENT);
    match fs::read_to_string(&path) {
        Ok(name) => {
            Ok(Some(name.trim().to_owned()).filter(|name| name.starts_with("store-") && !name.contains('/')))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(file("read", path)(source)),
    }
}

fn objects_of(name: &str) -> String {
    format!("../../{FOLDER}/{name}/objects")
}

/// Stores below a folder of views: the one that counts, and whether there were others, which are removed once nobody reads them.
pub(super) fn sweep(views: &Path) -> Result<Option<PathBuf>, ViewError> {
    let all = views.join(FOLDER);
    if !all.exists() {
        return Ok(None);
    }
    let lock = all.join(LOCK);
    let lock = FileLock::try_take(&lock).map_err(file("lock", &lock))?;
    let Some(name) = current(views)? else { return Ok(None) };
    let chosen = fs::metadata(all.join(CURRENT)).and_then(|found| found.modified());
    let age = chosen.map_err(file("look at", all.join(CURRENT)))?.elapsed().unwrap_or_default();
    // Whoever else has the lock may be beginning another store, which doesn't count yet.
    if lock.is_some() && age > KEPT {
        for entry in fs::read_dir(&all).map_err(file("read", &all))? {
            let entry = entry.map_err(file("read", &all))?;
            let other = entry.file_name().to_string_lossy().into_owned();
            if other.starts_with("store-") && other != name {
                fs::remove_dir_all(entry.path()).map_err(file("remove", entry.path()))?;
            }
        }
    }
    Ok(Some(all.join(name)))
}

/// Beginning of the table, as long as a record, so that records stand at multiples of their length.
fn heading(pages: Pages) -> Vec<u8> {
    let pages = match pages {
        Pages::Shown => "",
        Pages::Hidden => ", no docs",
    };
    let mut heading = format!("berth shared, rules {RULES}{pages}").into_bytes();
    heading.resize(RECORD, b'\n');
    heading
}
