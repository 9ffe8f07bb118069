//! Contents: the plain files below a folder of a revision, each by the id of its content.

use git2::{ObjectType, Oid};

use crate::folder::join;
use crate::oid::oid;
use crate::tree::at_top;
use crate::{Error, Revision, StateRepo};

/// Folders inside folders below this are left out.
const DEEPEST: usize = 32;

/// Id of an object's content: the same content has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentId(Oid);

/// A plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Path from the root of the repo.
    pub path: String,
    /// Id of its content.
    pub id: ContentId,
}

/// The plain files in a folder, and in those below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The files, sorted by path.
    pub files: Vec<Held>,
    /// Number of files that aren't in the list, since there are too many or they lie too deep.
    pub left_out: usize,
}

impl StateRepo {
    /// The id of a folder at the root of a revision: it changes with everything in it. `None` where there is no such folder.
    pub fn folder_id(&self, revision: &Revision, folder: &str) -> Result<Option<ContentId>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let commit = self.repository.find_commit(oid(revision)).map_err(unreadable)?;
        let tree = commit.tree().map_err(unreadable)?;
        let found = at_top(&tree, folder.as_bytes());
        Ok(found.filter(|(_, mode)| *mode == git2::FileMode::Tree).map(|(id, _)| ContentId(id)))
    }

    /// Lists the plain files in a folder at the root of a revision: `most` of them at most. What isn't text in a name, links and
    /// submodules aren't listed.
    pub fn contents(&self, id: ContentId, folder: &str, most: usize) -> Result<Contents, Error> {
        let mut found = Contents::default();
        let mut folders = vec![(id.0, folder.to_owned(), 0)];
        while let Some((id, path, depth)) = folders.pop() {
            let unreadable =
                |source| Error::ReadFolder { path: path.clone(), source: Box::<git2::Error>::new(source) };
            let tree = self.repository.find_tree(id).map_err(unreadable)?;
            for entry in &tree {
                let Ok(name) = std::str::from_utf8(entry.name_bytes()) else { continue };
                let path = join(&path, name);
                match entry.kind() {
                    Some(ObjectType::Tree) if depth < DEEPEST => folders.push((entry.id(), path, depth + 1)),
                    Some(ObjectType::Tree) => found.left_out += 1,
                    Some(ObjectType::Blob) if entry.filemode() == i32::from(git2::FileMode::Link) => {}
                    Some(ObjectType::Blob) if found.files.len() < most => {
                        found.files.push(Held { path, id: ContentId(entry.id()) });
                    }
                    Some(ObjectType::Blob) => found.left_out += 1,
                    _ => {}
                }
            }
        }
        found.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}
