//! The one file that a member sees differently from everybody else, and the folders that differ for it.

use std::collections::HashMap;

use git2::{ObjectType, Oid, Repository};

use super::flat;
use super::room::Room;
use crate::tree::Entry;

const USERS: &[u8] = b"users";

/// A member's file through history: folders are read once, however many commits have them.
pub(super) struct Own {
    name: Vec<u8>,
    /// The member's entry, by folder of users.
    found: HashMap<Oid, Option<Entry>>,
    /// The folder of users that everybody sees, with the member's entry set.
    set: HashMap<(Oid, Oid), Oid>,
}

impl Own {
    pub(super) fn of(user: &str) -> Self {
        Self { name: format!("{user}.toml").into_bytes(), found: HashMap::new(), set: HashMap::new() }
    }

    pub(super) fn path(&self) -> Vec<u8> {
        [USERS, b"/", &self.name].concat()
    }

    /// The member's entry in the tree `root`.
    pub(super) fn entry(&mut self, repository: &Repository, root: Oid) -> Result<Option<Entry>, git2::Error> {
        let objects = repository.odb()?;
        let Some(users) = flat::folder(objects.read(root)?.data(), USERS) else { return Ok(None) };
        if let Some(found) = self.found.get(&users) {
            return Ok(*found);
        }
        let folder = objects.read(users)?;
        let entry = flat::find(folder.data(), &self.name);
        let entry = entry.and_then(|(id, mode)| Some(Entry { id, mode: flat::of_file(mode)? }));
        self.found.insert(users, entry);
        Ok(entry)
    }

    /// The root folder that everybody sees, with the member's entry as they see it. `None` where that would change more than
    /// their entry.
    pub(super) fn set(
        &mut self,
        room: &mut Room,
        everybodys: Oid,
        own: Option<Entry>,
    ) -> Result<Option<Oid>, git2::Error> {
        let root = room.read(everybodys)?;
        let users = flat::folder(&root, USERS);
        let (Some(own), Some(users)) = (own, users) else {
            let is_there = match users {
                Some(users) => flat::find(&room.read(users)?, &self.name).is_some(),
                None => false,
            };
            // Without the file, a member sees what everybody sees.
            return Ok((own.is_none() && !is_there).then_some(everybodys));
        };
        let folder = match self.set.get(&(users, own.id)) {
            Some(folder) => *folder,
            None => {
                let bytes = room.read(users)?;
                let there = flat::find(&bytes, &self.name).and_then(|(_, mode)| flat::of_file(mode));
                let set = flat::with(&bytes, &self.name, Some((own.id, own.mode)));
                let Some(bytes) = set.filter(|_| there == Some(own.mode)) else { return Ok(None) };
                let folder = room.write(ObjectType::Tree, &bytes, USERS)?;
                self.set.insert((users, own.id), folder);
                folder
            }
        };
        let root = flat::with(&root, USERS, Some((folder, git2::FileMode::Tree)));
        root.map(|root| room.write(ObjectType::Tree, &root, b"")).transpose()
    }
}
