//! Objects on their way into a repository: held in memory first, then written as one pack, or as loose objects where they are few.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository};

use super::copy;
use super::error::{ViewError, git};
use crate::durable;
use crate::packing::write_pack;
use crate::source::read_too;

/// Up to this many objects are written as loose ones into a repository that has a pack.
const FEW: usize = 100;
/// Bytes of objects that are held in memory before they are written.
const FULL: usize = 24 << 20;

/// Objects for one repository.
pub(super) struct Room {
    git_dir: PathBuf,
    /// Sees what the repository has, and nothing else.
    has: Repository,
    /// Sees besides what is held here and what may be copied, and writes into memory.
    memory: Repository,
    /// The objects from which others are copied, and their folder.
    theirs: Option<(PathBuf, Odb<'static>)>,
    made: Needed,
    copied: Needed,
    bytes: usize,
}

/// Objects, each once, with a path at which each of them lies.
#[derive(Default)]
struct Needed {
    known: HashSet<Oid>,
    list: Vec<(Oid, Vec<u8>)>,
}

impl Room {
    /// Room for objects of the repository `git_dir`. Those that lie in the folder `theirs` are copied from there.
    pub(super) fn open(git_dir: &Path, theirs: Option<&Path>) -> Result<Self, ViewError> {
        let made = || {
            let (has, memory) = (Repository::open_bare(git_dir)?, Repository::open_bare(git_dir)?);
            memory.odb()?.add_new_mempack_backend(1000)?;
            let theirs = match theirs {
                Some(theirs) => {
                    // Only here: none of these becomes the repository's by being readable now.
                    read_too(&memory.odb()?, theirs)?;
                    let others = Odb::new()?;
                    read_too(&others, theirs)?;
                    Some((theirs.to_owned(), others))
                }
                None => None,
            };
            Ok((has, memory, theirs))
        };
        let (has, memory, theirs) = made().map_err(git(format!("open {}", git_dir.display())))?;
        let (made, copied) = (Needed::default(), Needed::default());
        Ok(Self { git_dir: git_dir.to_owned(), has, memory, theirs, made, copied, bytes: 0 })
    }

    /// The repository, with what is held here.
    pub(super) fn repository(&self) -> &Repository {
        &self.memory
    }

    /// Bytes of an object.
    pub(super) fn read(&self, id: Oid) -> Result<Vec<u8>, git2::Error> {
        Ok(self.memory.odb()?.read(id)?.data().to_vec())
    }

    /// Holds a new object.
    pub(super) fn write(&mut self, kind: ObjectType, bytes: &[u8], path: &[u8]) -> Result<Oid, git2::Error> {
        let id = self.memory.odb()?.write(kind, bytes)?;
        self.bytes += bytes.len();
        self.take(id, path)?;
        Ok(id)
    }

    /// Takes an object that can be read here, unless the repository has it.
    pub(super) fn take(&mut self, id: Oid, path: &[u8]) -> Result<(), git2::Error> {
        if self.has.odb()?.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
            return Ok(());
        }
        let is_theirs =
            self.theirs.as_ref().is_some_and(|(_, theirs)| theirs.exists_ext(id, OdbLookupFlags::NO_REFRESH));
        let needed = if is_theirs { &mut self.copied } else { &mut self.made };
        if needed.known.insert(id) {
            needed.list.push((id, path.to_vec()));
        }
        Ok(())
    }

    /// Returns whether so much is held that it should be written.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > FULL
    }

    /// Writes everything into the repository: few objects as they are unless `is_first`, and more as a pack. All of it is on the disk
    /// then, so that no table names an object that a loss of power made empty.
    pub(super) fn keep(self, is_first: bool) -> Result<(), ViewError> {
        let act = || format!("write objects to {}", self.git_dir.display());
        if !is_first && self.made.list.len() + self.copied.list.len() <= FEW {
            let written = self.keep_loose().map_err(git(act()))?;
            return Ok(durable::objects(&self.git_dir, &written)?);
        }
        let made = self.pack_made().map_err(git(act()))?;
        let theirs = self.theirs.as_ref().map(|(folder, _)| folder.as_path());
        let copied = copy::copy(theirs, &self.git_dir, &self.copied.list)?;
        for pack in [made, copied].iter().flatten() {
            durable::pack(&self.git_dir, pack)?;
        }
        Ok(())
    }

    fn keep_loose(&self) -> Result<Vec<Oid>, git2::Error> {
        let (from, to) = (self.memory.odb()?, self.has.odb()?);
        let mut written = Vec::with_capacity(self.made.list.len() + self.copied.list.len());
        for (id, _) in self.made.list.iter().chain(&self.copied.list) {
            let object = from.read(*id)?;
            written.push(to.write(object.kind(), object.data())?);
        }
        Ok(written)
    }

    fn pack_made(&self) -> Result<Option<String>, git2::Error> {
        if self.made.list.is_empty() {
            return Ok(None);
        }
        let made = self.made.list.iter().map(|(id, path)| (*id, path.as_slice()));
        write_pack(&self.memory, &self.git_dir, made).map(Some)
    }
}
