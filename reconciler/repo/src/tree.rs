//! Trees: the entry at a path, and a tree with some paths changed.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, Tree, TreeEntry};

use crate::bounds::{Budget, Stopped};

/// Anything in a tree but a folder: a file, a link, a submodule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Oid,
    pub(crate) mode: FileMode,
}

impl Entry {
    pub(crate) fn is_plain(self) -> bool {
        matches!(self.mode, FileMode::Blob | FileMode::BlobExecutable)
    }

    /// Reads an entry; `None` for a folder, whose entries have paths of their own.
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

/// Thing at a path in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Nothing, and a file could.
    Nothing,
    Entry(Entry),
    Folder,
    /// Something that isn't a folder stands above it.
    Blocked,
}

/// The entry at a path, unless it is a folder: for one path, since each look reads the folders again.
pub(crate) fn entry(
    repository: &Repository,
    tree: &Tree<'_>,
    path: &[u8],
) -> Result<Option<Entry>, git2::Error> {
    Trees::new(repository).entry(tree.id(), path)
}

/// The entry of this name in a tree itself, which may be a folder.
pub(crate) fn at_top(tree: &Tree<'_>, name: &[u8]) -> Option<(Oid, FileMode)> {
    let found = tree.iter().find(|entry| entry.name_bytes() == name)?;
    let is_folder = found.kind() == Some(ObjectType::Tree);
    Some((found.id(), if is_folder { FileMode::Tree } else { FileMode::Blob }))
}

/// Trees of a repository, with those that were read last at hand: a folder of ten thousand files takes git milliseconds to
/// read, and each commit's are needed again for the next.
pub(crate) struct Trees<'r> {
    repository: &'r Repository,
    recent: RefCell<VecDeque<Rc<Tree<'r>>>>,
}

/// A place at which two trees differ.
pub(crate) struct Difference<'d> {
    /// Its path.
    pub(crate) path: &'d [u8],
    /// The entry in the first, a folder's too.
    pub(crate) old: Option<&'d TreeEntry<'d>>,
    /// The entry in the second.
    pub(crate) new: Option<&'d TreeEntry<'d>>,
    /// The folder that it lies in, as it is in the second.
    pub(crate) folder: Option<&'d Tree<'d>>,
}

/// Number of trees at hand: those of two commits.
const RECENT: usize = 16;

impl<'r> Trees<'r> {
    pub(crate) fn new(repository: &'r Repository) -> Self {
        Self { repository, recent: RefCell::default() }
    }

    pub(crate) fn find(&self, id: Oid) -> Result<Rc<Tree<'r>>, git2::Error> {
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

    /// Looks what stands at a path below a tree.
    pub(crate) fn stand(&self, root: Oid, path: &[u8]) -> Result<Stand, git2::Error> {
        let mut tree = self.find(root)?;
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let Some((id, entry)) = tree.get_name_bytes(part).map(|found| (found.id(), Entry::of(&found)))
            else {
                break;
            };
            match (entry, parts.peek()) {
                (Some(entry), None) => return Ok(Stand::Entry(entry)),
                (Some(_), Some(_)) => return Ok(Stand::Blocked),
                (None, None) => return Ok(Stand::Folder),
                (None, Some(_)) => tree = self.find(id)?,
            }
        }
        Ok(Stand::Nothing)
    }

    /// The entry at a path below a tree, unless it is a folder.
    pub(crate) fn entry(&self, root: Oid, path: &[u8]) -> Result<Option<Entry>, git2::Error> {
        let (folders, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
            None => (&[][..], path),
        };
        let mut tree = self.find(root)?;
        for folder in folders.split(|byte| *byte == b'/').filter(|folder| !folder.is_empty()) {
            let Some(id) = tree.get_name_bytes(folder).filter(is_folder).map(|entry| entry.id()) else {
                return Ok(None);
            };
            tree = self.find(id)?;
        }
        Ok(tree.get_name_bytes(name).and_then(|found| Entry::of(&found)))
    }

    /// Tells each entry, folders too, in which two trees differ. The first error ends it.
    pub(crate) fn walk<E: From<git2::Error>>(
        &self,
        before: Option<Oid>,
        after: Option<Oid>,
        mut tell: impl FnMut(&Difference<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut folders = vec![(before, after, Vec::new())];
        while let Some((before, after, folder)) = folders.pop() {
            let before = before.map(|id| self.find(id)).transpose()?;
            let after = after.map(|id| self.find(id)).transpose()?;
            let mut olds = before.iter().flat_map(|tree| tree.iter()).peekable();
            let mut news = after.iter().flat_map(|tree| tree.iter()).peekable();
            loop {
                // In a tree that isn't sorted, an entry of both sides may be told twice, but none is passed over.
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
                let folder = after.as_deref();
                tell(&Difference { path: &path, old: old.as_ref(), new: new.as_ref(), folder })?;
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

    /// Pays for each path in which two trees differ.
    pub(crate) fn pay(&self, before: Option<Oid>, after: Oid, budget: &mut Budget) -> Result<(), Stopped> {
        self.walk(before, Some(after), |difference| Ok(budget.pay(difference.path)?))
    }

    /// The paths at which two trees differ, each with the entry there after.
    pub(crate) fn changes(
        &self,
        before: Option<Oid>,
        after: Oid,
    ) -> Result<BTreeMap<Vec<u8>, Option<Entry>>, git2::Error> {
        let mut changes = BTreeMap::new();
        self.walk::<git2::Error>(before, Some(after), |&Difference { path, new, .. }| {
            let stands = new.and_then(Entry::of);
            if stands.is_some() {
                changes.insert(path.to_vec(), stands);
            } else if new.is_none() {
                changes.entry(path.to_vec()).or_insert(None);
            }
            Ok(())
        })?;
        Ok(changes)
    }

    /// The trees and files of the tree `after` that the tree `before` doesn't have in the same place, with their paths.
    pub(crate) fn added(&self, before: Option<Oid>, after: Oid) -> Result<Vec<(Oid, Vec<u8>)>, git2::Error> {
        let mut added = Vec::new();
        if before != Some(after) {
            added.push((after, Vec::new()));
        }
        self.walk::<git2::Error>(before, Some(after), |&Difference { path, new, .. }| {
            // A submodule's commit is another repository's.
            if let Some(new) = new.filter(|new| new.kind() != Some(ObjectType::Commit)) {
                added.push((new.id(), path.to_vec()));
            }
            Ok(())
        })?;
        Ok(added)
    }
}

fn is_folder(entry: &TreeEntry<'_>) -> bool {
    entry.kind() == Some(ObjectType::Tree)
}

/// Key by which git sorts a tree's entries: a folder goes as if its name ended in a slash.
fn key<'e>(entry: &'e TreeEntry<'_>) -> impl Iterator<Item = u8> + 'e {
    entry.name_bytes().iter().copied().chain(is_folder(entry).then_some(b'/'))
}

/// The paths at which two trees differ.
pub(crate) fn differing(
    repository: &Repository,
    before: Option<&Tree<'_>>,
    after: &Tree<'_>,
) -> Result<BTreeSet<Vec<u8>>, git2::Error> {
    let changes = Trees::new(repository).changes(before.map(Tree::id), after.id())?;
    Ok(changes.into_keys().collect())
}

/// The paths at which a pushed tree differs from the one before, if there are no more than may be.
pub(crate) fn pushed(
    repository: &Repository,
    before: &Tree<'_>,
    after: &Tree<'_>,
    budget: &mut Budget,
) -> Result<BTreeSet<Vec<u8>>, Stopped> {
    Trees::new(repository).pay(Some(before.id()), after.id(), budget)?;
    Ok(differing(repository, Some(before), after)?)
}

/// The tree without anything in it.
pub(crate) fn empty(repository: &Repository) -> Result<Oid, git2::Error> {
    repository.treebuilder(None)?.write()
}

/// Writes `before` with other entries at some paths; `None` takes a path away. An empty folder goes too.
pub(crate) fn changed(
    repository: &Repository,
    before: Oid,
    entries: &[(Vec<u8>, Option<Entry>)],
) -> Result<Oid, git2::Error> {
    let (tree, trees) = (repository.find_tree(before)?, Trees::new(repository));
    let (mut removed, mut put) = (TreeUpdateBuilder::new(), TreeUpdateBuilder::new());
    let (mut removes, mut puts) = (false, false);
    for (path, after) in entries {
        let there = trees.entry(before, path)?;
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
