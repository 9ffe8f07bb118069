//! Trees: what stands at a path, and a tree with some paths changed.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, ObjectType, Oid, Repository, Tree, TreeEntry};

/// Anything in a tree but a folder: a file, a link, a submodule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Oid,
    pub(super) mode: FileMode,
}

impl Entry {
    pub(super) fn is_plain(self) -> bool {
        matches!(self.mode, FileMode::Blob | FileMode::BlobExecutable)
    }

    /// Folders are nothing: what is in them has paths of its own.
    fn of(found: &TreeEntry<'_>) -> Option<Self> {
        let mode = match found.filemode() {
            mode if mode == i32::from(FileMode::Tree) => return None,
            mode if mode == i32::from(FileMode::Commit) => FileMode::Commit,
            mode if mode == i32::from(FileMode::Link) => FileMode::Link,
            mode if mode == i32::from(FileMode::BlobExecutable) => FileMode::BlobExecutable,
            _ => FileMode::Blob,
        };
        Some(Self { id: found.id(), mode })
    }

    fn kind(self) -> ObjectType {
        match self.mode {
            FileMode::Commit => ObjectType::Commit,
            _ => ObjectType::Blob,
        }
    }
}

/// What stands at a path; no folder.
pub(super) fn entry(tree: &Tree<'_>, path: &[u8]) -> Result<Option<Entry>, git2::Error> {
    let found = match tree.get_path(Path::new(OsStr::from_bytes(path))) {
        Ok(found) => found,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Entry::of(&found))
}

/// What has this name in a tree itself, a folder too.
pub(super) fn at_top(tree: &Tree<'_>, name: &[u8]) -> Option<(Oid, FileMode)> {
    let found = tree.iter().find(|entry| entry.name_bytes() == name)?;
    let is_folder = found.kind() == Some(ObjectType::Tree);
    Some((found.id(), if is_folder { FileMode::Tree } else { FileMode::Blob }))
}

/// Trees of a repository, with those that were read last at hand: a folder of ten thousand files takes git milliseconds to
/// read, and each commit's is the next one's before.
pub(super) struct Trees<'r> {
    repository: &'r Repository,
    recent: RefCell<VecDeque<Rc<Tree<'r>>>>,
}

/// How many are at hand: those of two commits.
const RECENT: usize = 16;

impl<'r> Trees<'r> {
    pub(super) fn new(repository: &'r Repository) -> Self {
        Self { repository, recent: RefCell::default() }
    }

    fn find(&self, id: Oid) -> Result<Rc<Tree<'r>>, git2::Error> {
        let mut recent = self.recent.borrow_mut();
        let there = recent.iter().position(|tree| tree.id() == id).and_then(|at| recent.remove(at));
        let tree = match there {
            Some(tree) => tree,
            None => Rc::new(self.repository.find_tree(id)?),
        };
        recent.push_front(Rc::clone(&tree));
        recent.truncate(RECENT);
        Ok(tree)
    }

    /// Tells of each entry, folders too, in which two trees differ, with its path, as it is in the second.
    fn walk(
        &self,
        before: Option<Oid>,
        after: Option<Oid>,
        mut tell: impl FnMut(&[u8], Option<&TreeEntry<'_>>),
    ) -> Result<(), git2::Error> {
        let mut folders = vec![(before, after, Vec::new())];
        while let Some((before, after, folder)) = folders.pop() {
            let before = before.map(|id| self.find(id)).transpose()?;
            let after = after.map(|id| self.find(id)).transpose()?;
            let mut olds = before.iter().flat_map(|tree| tree.iter()).peekable();
            let mut news = after.iter().flat_map(|tree| tree.iter()).peekable();
            loop {
                // Where a tree isn't in order, what is on both sides may be told of twice, and nothing is passed over.
                let order = match (olds.peek(), news.peek()) {
                    (None, None) => break,
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (Some(old), Some(new)) => key(old).cmp(key(new)),
                };
                let old = if order.is_le() { olds.next() } else { None };
                let new = if order.is_ge() { news.next() } else { None };
                if let (Some(old), Some(new)) = (&old, &new)
                    && (old.id(), old.filemode()) == (new.id(), new.filemode())
                {
                    continue;
                }
                let Some(entry) = new.as_ref().or(old.as_ref()) else { break };
                let mut path = [folder.as_slice(), entry.name_bytes()].concat();
                tell(&path, new.as_ref());
                let inside = |entry: &Option<TreeEntry<'_>>| {
                    entry.as_ref().filter(|entry| is_folder(entry)).map(TreeEntry::id)
                };
                let (old, new) = (inside(&old), inside(&new));
                if old.is_some() || new.is_some() {
                    path.push(b'/');
                    folders.push((old, new, path));
                }
            }
        }
        Ok(())
    }

    /// The paths at which two trees differ, with what stands there after.
    pub(super) fn changes(
        &self,
        before: Option<Oid>,
        after: Oid,
    ) -> Result<BTreeMap<Vec<u8>, Option<Entry>>, git2::Error> {
        let mut changes = BTreeMap::new();
        self.walk(before, Some(after), |path, new| {
            let stands = new.and_then(Entry::of);
            if stands.is_some() {
                changes.insert(path.to_vec(), stands);
            } else if new.is_none() {
                changes.entry(path.to_vec()).or_insert(None);
            }
        })?;
        Ok(changes)
    }

    /// The trees and files of the tree `after` that the tree `before` doesn't have in the same place, with their paths.
    pub(super) fn added(&self, before: Option<Oid>, after: Oid) -> Result<Vec<(Oid, Vec<u8>)>, git2::Error> {
        let mut added = Vec::new();
        if before != Some(after) {
            added.push((after, Vec::new()));
        }
        self.walk(before, Some(after), |path, new| {
            // A submodule's commit is another repository's.
            if let Some(new) = new.filter(|new| new.kind() != Some(ObjectType::Commit)) {
                added.push((new.id(), path.to_vec()));
            }
        })?;
        Ok(added)
    }
}

fn is_folder(entry: &TreeEntry<'_>) -> bool {
    entry.kind() == Some(ObjectType::Tree)
}

/// What git orders a tree's entries by: a folder as if its name ended in a slash.
fn key<'e>(entry: &'e TreeEntry<'_>) -> impl Iterator<Item = u8> + 'e {
    entry.name_bytes().iter().copied().chain(is_folder(entry).then_some(b'/'))
}

/// The paths at which two trees differ.
pub(super) fn differing(
    repository: &Repository,
    before: Option<&Tree<'_>>,
    after: &Tree<'_>,
) -> Result<BTreeSet<Vec<u8>>, git2::Error> {
    let changes = Trees::new(repository).changes(before.map(Tree::id), after.id())?;
    Ok(changes.into_keys().collect())
}

/// The tree without anything in it.
pub(super) fn empty(repository: &Repository) -> Result<Oid, git2::Error> {
    repository.treebuilder(None)?.write()
}

/// Writes `before` with other entries at some paths; `None` takes a path away. A folder without anything goes too.
pub(super) fn changed(
    repository: &Repository,
    before: Oid,
    entries: &[(Vec<u8>, Option<Entry>)],
) -> Result<Oid, git2::Error> {
    let tree = repository.find_tree(before)?;
    let (mut removed, mut put) = (TreeUpdateBuilder::new(), TreeUpdateBuilder::new());
    let (mut removes, mut puts) = (false, false);
    for (path, after) in entries {
        let there = entry(&tree, path)?;
        if there == *after {
            continue;
        }
        // A file doesn't become a submodule in one step, nor a folder a file.
        if there.is_some_and(|there| after.is_none_or(|after| after.kind() != there.kind())) {
            removed.remove(path.as_slice());
            removes = true;
        }
        if let Some(after) = after {
            put.upsert(path.as_slice(), after.id, after.mode);
            puts = true;
        }
    }
    let mut id = before;
    if removes {
        id = removed.create_updated(repository, &tree)?;
    }
    if puts {
        id = put.create_updated(repository, &repository.find_tree(id)?)?;
    }
    Ok(id)
}
