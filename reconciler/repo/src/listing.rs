//! Listing: what a revision holds, folder by folder or as a whole. Reads only, and follows nothing.

use git2::{FileMode, ObjectType, Tree, TreeEntry};

use crate::folder::join;
use crate::oid::oid;
use crate::{Error, Revision, StateRepo};

/// Something that has a name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A folder.
    Folder,
    /// A plain file of so many bytes.
    File {
        /// Bytes.
        size: u64,
    },
    /// A symbolic link, which nobody follows.
    Link,
    /// A submodule: another repository's commit.
    Submodule,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name; one that isn't UTF-8 has replacement characters in it.
    pub name: String,
    /// Set if the name is UTF-8. Nothing can be asked about any other.
    pub is_text: bool,
    /// Kind of the entry.
    pub what: What,
}

/// The plain files of a revision, as far as they were looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Paths, sorted by folder.
    pub paths: Vec<String>,
    /// Number of files whose path isn't UTF-8.
    pub unnamed: usize,
    /// Set if there are more.
    pub is_cut: bool,
}

impl StateRepo {
    /// Lists a folder at a revision, folders first; the empty path is the root. `None` where there is no such folder.
    pub fn list(&self, revision: &Revision, folder: &str) -> Result<Option<Vec<Listed>>, Error> {
        let failed =
            |source: git2::Error| Error::ReadFolder { path: folder.to_owned(), source: Box::new(source) };
        let Some(tree) = self.folder_at(revision, folder)? else { return Ok(None) };
        let mut listed = Vec::with_capacity(tree.len());
        for entry in tree.iter() {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let is_text = std::str::from_utf8(entry.name_bytes()).is_ok();
            listed.push(Listed { name, is_text, what: self.what_is(&entry).map_err(failed)? });
        }
        listed.sort_by(|one, other| {
            let is_file = |listed: &Listed| listed.what != What::Folder;
            (is_file(one), &one.name).cmp(&(is_file(other), &other.name))
        });
        Ok(Some(listed))
    }

    /// Tells what has this path at a revision; `None` for nothing.
    pub fn what(&self, revision: &Revision, path: &str) -> Result<Option<What>, Error> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(tree) = self.folder_at(revision, folder)? else { return Ok(None) };
        let found = tree.get_name_bytes(name.as_bytes()).map(|entry| self.what_is(&entry));
        found
            .transpose()
            .map_err(|source| Error::ReadFile { path: path.to_owned(), source: Box::new(source) })
    }

    /// The paths of the plain files of a revision, `most` of them.
    pub fn paths(&self, revision: &Revision, most: usize) -> Result<Paths, Error> {
        let mut found = Paths { paths: Vec::new(), unnamed: 0, is_cut: false };
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let mut inside = Vec::new();
            for Listed { name, is_text, what } in self.list(revision, &folder)?.unwrap_or_default() {
                match what {
                    _ if !is_text => found.unnamed += 1,
                    What::Folder => inside.push(join(&folder, &name)),
                    What::File { .. } if found.paths.len() < most => found.paths.push(join(&folder, &name)),
                    What::File { .. } => {
                        found.is_cut = true;
                        return Ok(found);
                    }
                    What::Link | What::Submodule => {}
                }
            }
            folders.extend(inside.into_iter().rev());
        }
        Ok(found)
    }

    /// The folder at a path: the entries of every part are looked for by name, so no part leads anywhere else.
    fn folder_at(&self, revision: &Revision, folder: &str) -> Result<Option<Tree<'_>>, Error> {
        let failed =
            |source: git2::Error| Error::ReadFolder { path: folder.to_owned(), source: Box::new(source) };
        let commit = self.repository.find_commit(oid(revision));
        let commit = commit.map_err(|source| Error::ReadCommit { revision: *revision, source })?;
        let mut tree = commit.tree().map_err(failed)?;
        if folder.is_empty() {
            return Ok(Some(tree));
        }
        for part in folder.split('/') {
            let found = tree.get_name_bytes(part.as_bytes()).filter(|e| e.kind() == Some(ObjectType::Tree));
            let Some(id) = found.map(|entry| entry.id()) else { return Ok(None) };
            tree = self.repository.find_tree(id).map_err(failed)?;
        }
        Ok(Some(tree))
    }

    fn what_is(&self, entry: &TreeEntry<'_>) -> Result<What, git2::Error> {
        Ok(match entry.kind() {
            Some(ObjectType::Tree) => What::Folder,
            Some(ObjectType::Commit) => What::Submodule,
            _ if entry.filemode() == i32::from(FileMode::Link) => What::Link,
            _ => What::File { size: self.repository.odb()?.read_header(entry.id())?.0 as u64 },
        })
    }
}
