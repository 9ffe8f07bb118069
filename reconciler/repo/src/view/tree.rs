//! Trees: what stands at a path, and a tree with some paths changed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{DiffOptions, ErrorCode, FileMode, ObjectType, Oid, Repository, Tree};

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

    fn kind(self) -> ObjectType {
        match self.mode {
            FileMode::Commit => ObjectType::Commit,
            _ => ObjectType::Blob,
        }
    }
}

/// What stands at a path. Folders are nothing: what is in them has paths of its own.
pub(super) fn entry(tree: &Tree<'_>, path: &[u8]) -> Result<Option<Entry>, git2::Error> {
    let found = match tree.get_path(Path::new(OsStr::from_bytes(path))) {
        Ok(found) => found,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mode = match found.filemode() {
        mode if mode == i32::from(FileMode::Tree) => return Ok(None),
        mode if mode == i32::from(FileMode::Commit) => FileMode::Commit,
        mode if mode == i32::from(FileMode::Link) => FileMode::Link,
        mode if mode == i32::from(FileMode::BlobExecutable) => FileMode::BlobExecutable,
        _ => FileMode::Blob,
    };
    Ok(Some(Entry { id: found.id(), mode }))
}

/// The paths at which two trees differ.
pub(super) fn differing(
    repository: &Repository,
    before: Option<&Tree<'_>>,
    after: &Tree<'_>,
) -> Result<BTreeSet<Vec<u8>>, git2::Error> {
    let mut options = DiffOptions::new();
    options.include_typechange(true);
    let diff = repository.diff_tree_to_tree(before, Some(after), Some(&mut options))?;
    let paths = diff.deltas().flat_map(|delta| {
        [delta.old_file().path_bytes().map(<[u8]>::to_vec), delta.new_file().path_bytes().map(<[u8]>::to_vec)]
    });
    Ok(paths.flatten().collect())
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
