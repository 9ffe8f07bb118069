//! Writing the trees of a commit: each touched folder once, however many edits it has.

use std::collections::BTreeMap;

use git2::{FileMode, ObjectType, Oid, Repository, Tree};

use crate::folder::join;
use crate::{Edit, Error};

/// Changes to make in one folder.
#[derive(Default)]
pub(crate) struct Changes<'e> {
    /// By name.
    entries: BTreeMap<&'e str, Change<'e>>,
}

enum Change<'e> {
    Write(&'e [u8]),
    Remove,
    Inside(Changes<'e>),
}

impl<'e> Changes<'e> {
    /// Sorts edits by folder, and refuses paths that git would refuse or that contradict each other.
    pub(crate) fn of(edits: &'e [Edit]) -> Result<Self, Error> {
        let mut root = Self::default();
        for edit in edits {
            let refuse = |reason| Error::BadPath { path: edit.path.clone(), reason };
            let mut folder = &mut root;
            let mut parts = edit.path.split('/').peekable();
            while let Some(part) = parts.next() {
                check_name(part).map_err(refuse)?;
                if parts.peek().is_none() {
                    let change = edit.content.as_deref().map_or(Change::Remove, Change::Write);
                    if folder.entries.insert(part, change).is_some() {
                        return Err(refuse("the edits name it twice"));
                    }
                    break;
                }
                let inside = || Change::Inside(Changes::default());
                folder = match folder.entries.entry(part).or_insert_with(inside) {
                    Change::Inside(changes) => changes,
                    _ => return Err(refuse("the edits use one name for a file and a folder")),
                };
            }
        }
        Ok(root)
    }

    /// Writes the folder `path` with the changes made, adding the new objects to `written`. `None`: nothing is left in it.
    pub(crate) fn write(
        &self,
        repository: &Repository,
        before: Option<&Tree<'_>>,
        path: &str,
        written: &mut Vec<Oid>,
    ) -> Result<Option<Oid>, Error> {
        let failed = |source| Error::WriteObject { object: format!("the folder '{path}'"), source };
        let mut builder = repository.treebuilder(before).map_err(failed)?;
        for (name, change) in &self.entries {
            let path = join(path, name);
            let failed = |source| Error::WriteObject { object: format!("'{path}'"), source };
            let entry = before.and_then(|before| before.get_name(name));
            let kind = entry.as_ref().and_then(|entry| entry.kind());
            match change {
                Change::Write(_) if kind == Some(ObjectType::Tree) => {
                    return Err(Error::BadPath { path, reason: "a folder has this name" });
                }
                Change::Write(bytes) => {
                    let id = repository.blob(bytes).map_err(failed)?;
                    written.push(id);
                    builder.insert(*name, id, i32::from(FileMode::Blob)).map_err(failed)?;
                }
                Change::Remove if kind == Some(ObjectType::Blob) => builder.remove(*name).map_err(failed)?,
                Change::Remove => return Err(Error::BadPath { path, reason: "no such file to remove" }),
                Change::Inside(_) if kind.is_some_and(|kind| kind != ObjectType::Tree) => {
                    return Err(Error::BadPath { path, reason: "not a folder" });
                }
                Change::Inside(changes) => {
                    let inside = entry.map(|entry| repository.find_tree(entry.id())).transpose();
                    match changes.write(repository, inside.map_err(failed)?.as_ref(), &path, written)? {
                        Some(id) => {
                            builder.insert(*name, id, i32::from(FileMode::Tree)).map(drop).map_err(failed)?;
                        }
                        None if kind.is_some() => builder.remove(*name).map_err(failed)?,
                        None => {}
                    }
                }
            }
        }
        if builder.is_empty() {
            return Ok(None);
        }
        let id = builder.write().map_err(failed)?;
        written.push(id);
        Ok(Some(id))
    }
}

/// Checks that a state repo can hold a file at this path; the error says why not.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    path.split('/').try_for_each(check_name)
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name == "." || name == ".." {
        return Err("a path is names joined by single slashes, from the root of the repo");
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return Err("names hold no control characters and no backslash");
    }
    if name.eq_ignore_ascii_case(".git") {
        return Err("git keeps this name for itself");
    }
    Ok(())
}
