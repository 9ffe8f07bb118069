//! One folder as git keeps it, with some of its own entries changed: nothing below it is read, and no other entry is touched.
//!
//! A folder of ten thousand files takes git milliseconds to take apart and put together again, for each commit.

use git2::{FileMode, Oid};

const ID: usize = 20;

/// An entry to set: its object and its mode. `None` takes the name away.
pub(super) type Set = Option<(Oid, FileMode)>;

/// An entry where it stands in a folder's bytes.
struct Found<'b> {
    start: usize,
    end: usize,
    mode: &'b [u8],
    name: &'b [u8],
    id: &'b [u8],
}

/// Goes through a folder's entries. Ends early at bytes that are no entry.
struct Entries<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Iterator for Entries<'b> {
    type Item = Found<'b>;

    fn next(&mut self) -> Option<Found<'b>> {
        let rest = self.bytes.get(self.at..)?;
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let zero = space + rest.get(space..)?.iter().position(|byte| *byte == 0)?;
        let id = rest.get(zero + 1..zero + 1 + ID)?;
        let (start, end) = (self.at, self.at + zero + 1 + ID);
        self.at = end;
        Some(Found { start, end, mode: rest.get(..space)?, name: rest.get(space + 1..zero)?, id })
    }
}

fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { bytes, at: 0 }
}

/// The entry of this name: its object, and its mode as git writes it.
pub(super) fn find<'b>(folder: &'b [u8], name: &[u8]) -> Option<(Oid, &'b [u8])> {
    let found = entries(folder).find(|entry| entry.name == name)?;
    Some((Oid::from_bytes(found.id).ok()?, found.mode))
}

/// The folder of this name inside another.
pub(super) fn folder(folder: &[u8], name: &[u8]) -> Option<Oid> {
    find(folder, name).filter(|(_, mode)| *mode == mode_of(FileMode::Tree)).map(|(id, _)| id)
}

/// The bytes of a folder with this entry set, and all others as they are. `None` when it can't be done so simply: the folder's bytes
/// aren't what git writes.
pub(super) fn with(folder: &[u8], name: &[u8], set: Set) -> Option<Vec<u8>> {
    let is_folder = set.is_some_and(|(_, mode)| mode == FileMode::Tree);
    let (mut place, mut replaced, mut all) = (folder.len(), 0..0, 0);
    for entry in entries(folder) {
        if entry.name == name {
            replaced = entry.start..entry.end;
        } else if place == folder.len()
            && key(entry.name, entry.mode == mode_of(FileMode::Tree)).gt(key(name, is_folder))
        {
            place = entry.start;
        }
        all = entry.end;
    }
    if all != folder.len() {
        return None;
    }
    let mut made = Vec::with_capacity(folder.len() + name.len() + ID + 8);
    let keep = |made: &mut Vec<u8>, from: usize, to: usize| {
        // What is replaced is left out of whatever is kept.
        let (start, end) = (replaced.start.clamp(from, to), replaced.end.clamp(from, to));
        made.extend_from_slice(folder.get(from..start).unwrap_or_default());
        made.extend_from_slice(folder.get(end..to).unwrap_or_default());
    };
    keep(&mut made, 0, place);
    if let Some((id, mode)) = set {
        made.extend_from_slice(mode_of(mode));
        made.push(b' ');
        made.extend_from_slice(name);
        made.push(0);
        made.extend_from_slice(id.as_bytes());
    }
    keep(&mut made, place, folder.len());
    Some(made)
}

/// Key by which git sorts entries: a folder goes as if its name ended in a slash.
fn key(name: &[u8], is_folder: bool) -> impl Iterator<Item = u8> + '_ {
    name.iter().copied().chain(is_folder.then_some(b'/'))
}

fn mode_of(mode: FileMode) -> &'static [u8] {
    match mode {
        FileMode::Tree => b"40000",
        FileMode::BlobExecutable => b"100755",
        FileMode::Link => b"120000",
        FileMode::Commit => b"160000",
        _ => b"100644",
    }
}

/// A file's mode, as git writes it; `None` for a folder.
pub(super) fn of_file(mode: &[u8]) -> Option<FileMode> {
    match mode {
        b"40000" | b"040000" => None,
        b"100755" => Some(FileMode::BlobExecutable),
        b"120000" => Some(FileMode::Link),
        b"160000" => Some(FileMode::Commit),
        _ => Some(FileMode::Blob),
    }
}

#[cfg(test)]
mod tests {
    use git2::{ObjectType, Repository};
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        "[ab./-]{1,3}"
            .prop_filter("a name", |name| !name.contains('/') && ![".", ".."].contains(&name.as_str()))
    }

    fn mode() -> impl Strategy<Value = FileMode> {
        prop_oneof![
            Just(FileMode::Blob),
            Just(FileMode::BlobExecutable),
            Just(FileMode::Tree),
            Just(FileMode::Link)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_folder_is_changed_as_git_changes_it(
            sets in prop::collection::vec((name(), prop::option::of(mode()), any::<u8>()), 1..12),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let repository = Repository::init_bare(folder.path()).unwrap();
            let objects = repository.odb().unwrap();
            let mut builder = repository.treebuilder(None).unwrap();
            let (mut bytes, mut names) = (Vec::new(), std::collections::BTreeMap::new());
            for (name, mode, content) in sets {
                let set = mode.map(|mode| {
                    let inside = repository.blob(&[content]).unwrap();
                    let id = match mode {
                        FileMode::Tree => {
                            let mut tree = repository.treebuilder(None).unwrap();
                            tree.insert("x", inside, i32::from(FileMode::Blob)).unwrap();
                            tree.write().unwrap()
                        }
                        _ => inside,
                    };
                    (id, mode)
                });
                match set {
                    Some((id, mode)) => { builder.insert(&name, id, i32::from(mode)).unwrap(); }
                    None if names.contains_key(&name) => builder.remove(&name).unwrap(),
                    None => {}
                }
                bytes = with(&bytes, name.as_bytes(), set).unwrap();
                prop_assert_eq!(find(&bytes, name.as_bytes()).map(|(id, _)| id), set.map(|(id, _)| id));
                match set {
                    Some(set) => { names.insert(name, set); }
                    None => { names.remove(&name); }
                }
                let id = builder.write().unwrap();
                prop_assert_eq!(Oid::hash_object(ObjectType::Tree, &bytes).unwrap(), id);
                let written = objects.read(id).unwrap();
                prop_assert_eq!(written.data(), &bytes[..]);
            }
        }
    }

    #[test]
    fn what_is_no_folder_is_left_alone() {
        assert_eq!(with(b"100644 a", b"b", None), None);
        assert_eq!(find(b"nonsense", b"a"), None);
    }
}
