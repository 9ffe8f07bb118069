//! Marks: the refs that Berth keeps for itself below `refs/berth/`, branches that are proposals, and notes. None of them
//! moves `main`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use berth_host::critical;
use git2::{ErrorCode, ObjectType, Oid};

use crate::oid::{oid, revision_of};
use crate::state_repo::Files;
use crate::{Error, Revision, Signature, StateRepo};

/// The ref of the notes that tell how each revision ended: `git log --notes=berth` shows them.
pub const NOTES: &str = "refs/notes/berth";

/// The ref that remembers the last revision of which every change succeeded. It travels with the repository, so a new
/// host knows it too.
pub const APPLIED: &str = "refs/berth/applied";

/// The ref of the register of server ids ([`berth_schema::register`]). Its history says when each line came.
pub const IDS: &str = "refs/berth/ids";
/// The ref of the register of names with certificates of their own ([`berth_schema::certificate_register`]).
pub const CERTIFICATES: &str = "refs/berth/certificates";

/// Prefix of the branches that are proposals.
pub const PROPOSALS: &str = "refs/heads/review/";
/// Prefix of the signed marks that say who opened each proposal.
pub const OPENED: &str = "refs/berth/review/";

/// Prefix of the signed marks on commits that go to a forge, each below its author's name.
pub const OUTGOING: &str = "refs/berth/outgoing/";
/// The ref of the mark that says whether changes can be brought to the forge.
pub const FORGE_WAY: &str = "refs/berth/forge";

/// Places of the slash that the name of each folder ends with in a note's path, as many as git makes.
const FOLDERS: [usize; 4] = [2, 5, 8, 11];

/// A signed mark on a commit: who set it, when, and what they said. Git knows it as an annotated tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The commit.
    pub on: Revision,
    /// Signer, and time of signing.
    pub by: Signature,
    /// The signer's words.
    pub message: String,
}

/// The state of refs below a prefix, without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, SystemTime)>);

/// Time for which a stamp doesn't count after a write: clocks of file systems are coarse.
const COARSE: Duration = Duration::from_secs(2);

/// The notes of one moment.
pub struct Notes<'r>(Files<'r>);

impl Notes<'_> {
    /// The note on a revision.
    pub fn on(&self, revision: &Revision) -> Result<Option<String>, Error> {
        let mut path = revision.to_string();
        // Git spreads many notes over folders, whose names the file's loses.
        for slash in FOLDERS {
            let found = self.0.bytes(&path).map_err(|source| Error::Note { revision: *revision, source })?;
            if let Some(bytes) = found {
                return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
            }
            path.insert(slash, '/');
        }
        Ok(None)
    }
}

impl StateRepo {
    /// A stamp of the refs below `prefix` (which ends with `/`): as long as it stays the same, none of them was written or removed.
    /// `None` where something was written just now, so that the next write might not show.
    pub fn stamp(&self, prefix: &str) -> Result<Option<Stamp>, Error> {
        let top = self.repository.commondir().join(prefix);
        let failed = |source: io::Error| Error::Refs {
            prefix: prefix.to_owned(),
            source: git2::Error::from_str(&source.to_string()),
        };
        let mut folders = Vec::new();
        let mut next = vec![top];
        while let Some(folder) = next.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            // Git replaces a ref by renaming a file, which its folder shows.
            folders.push((
                folder.clone(),
                fs::metadata(&folder).and_then(|found| found.modified()).map_err(failed)?,
            ));
            for entry in entries {
                let entry = entry.map_err(failed)?;
                if entry.file_type().map_err(failed)?.is_dir() {
                    next.push(entry.path());
                }
            }
        }
        let is_new = |(_, then): &(PathBuf, SystemTime)| {
            SystemTime::now().duration_since(*then).is_ok_and(|since| since < COARSE)
        };
        folders.sort();
        Ok((!folders.iter().any(is_new)).then_some(Stamp(folders)))
    }

    /// Every ref below `prefix` (which ends with `/`) that leads to a commit: the rest of its name, and the commit. Sorted.
    pub fn references(&self, prefix: &str) -> Result<Vec<(String, Revision)>, Error> {
        let failed = |source| Error::Refs { prefix: prefix.to_owned(), source };
        let mut found = Vec::new();
        for reference in self.repository.references_glob(&format!("{prefix}*")).map_err(failed)? {
            let reference = reference.map_err(failed)?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let (Some(rest), Ok(commit)) = (name.strip_prefix(prefix), reference.peel_to_commit()) else {
                continue;
            };
            found.push((rest.to_owned(), revision_of(commit.id())));
        }
        found.sort();
        Ok(found)
    }

    /// The commit that a ref leads to; `None` when there is no such ref.
    pub fn find_reference(&self, name: &str) -> Result<Option<Revision>, Error> {
        let failed = |source| Error::Refs { prefix: name.to_owned(), source };
        match self.repository.find_reference(name) {
            Ok(reference) => Ok(Some(revision_of(reference.peel_to_commit().map_err(failed)?.id()))),
            Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    /// Makes a branch that isn't there yet.
    pub fn create_branch(&self, name: &str, revision: &Revision, why: &str) -> Result<(), Error> {
        let _owner = self.as_owner()?;
        let _section = critical::enter();
        let made = self.repository.reference(&format!("refs/heads/{name}"), oid(revision), false, why);
        made.map(drop).map_err(|source| Error::Mark { reference: format!("refs/heads/{name}"), source })
    }

    /// Removes a ref if it still leads to `expected`, and returns whether it did.
    pub fn remove_reference(&self, name: &str, expected: &Revision) -> Result<bool, Error> {
        let failed = |source| Error::Mark { reference: name.to_owned(), source };
        let mut reference = match self.repository.find_reference(name) {
            Ok(reference) => reference,
            Err(source) if source.code() == ErrorCode::NotFound => return Ok(false),
            Err(source) => return Err(failed(source)),
        };
        if reference.peel_to_commit().map_err(failed)?.id() != oid(expected) {
            return Ok(false);
        }
        let _owner = self.as_owner()?;
        let _section = critical::enter();
        // libgit2 compares once more while it holds the lock.
        match reference.delete() {
            Ok(()) => Ok(true),
            Err(source) if source.code() == ErrorCode::Modified => Ok(false),
            Err(source) => Err(failed(source)),
        }
    }

    /// Sets a signed mark, in place of one that has this name.
    pub fn set_mark(&self, name: &str, mark: &Mark) -> Result<(), Error> {
        self.put_mark(name, mark, true)
    }

    /// Sets a signed mark that isn't there yet, and returns whether there was none.
    pub fn new_mark(&self, name: &str, mark: &Mark) -> Result<bool, Error> {
        match self.put_mark(name, mark, false) {
            Ok(()) => Ok(true),
            Err(Error::Mark { source, .. }) if source.code() == ErrorCode::Exists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn put_mark(&self, name: &str, mark: &Mark, replaces: bool) -> Result<(), Error> {
        let failed = |source| Error::Mark { reference: name.to_owned(), source };
        let commit = self.commit_of(&mark.on)?;
        let short = name.rsplit('/').next().unwrap_or(name);
        let by = mark.by.to_git()?;
        let _owner = self.as_owner()?;
        let _section = critical::enter();
        let tag = self.repository.tag_annotation_create(short, commit.as_object(), &by, &mark.message);
        let set = tag.and_then(|tag| self.repository.reference(name, tag, replaces, "berth: mark"));
        set.map(drop).map_err(failed)
    }

    /// The signed mark of this name; `None` when there is none, or it is something else.
    pub fn read_mark(&self, name: &str) -> Result<Option<Mark>, Error> {
        let failed = |source| Error::Refs { prefix: name.to_owned(), source };
        let reference = match self.repository.find_reference(name) {
            Ok(reference) => reference,
            Err(source) if source.code() == ErrorCode::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let Ok(tag) = reference.peel_to_tag() else { return Ok(None) };
        let (Some(by), ObjectType::Commit) = (tag.tagger(), tag.target_type().unwrap_or(ObjectType::Any))
        else {
            return Ok(None);
        };
        Ok(Some(Mark {
            on: revision_of(tag.target_id()),
            by: Signature::from_git(&by),
            message: String::from_utf8_lossy(tag.message_bytes().unwrap_or_default()).into_owned(),
        }))
    }

    /// The note on a revision.
    pub fn note(&self, revision: &Revision) -> Result<Option<String>, Error> {
        match self.repository.find_note(Some(NOTES), oid(revision)) {
            Ok(note) => Ok(Some(String::from_utf8_lossy(note.message_bytes()).into_owned())),
            Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(Error::Note { revision: *revision, source }),
        }
    }

    /// Returns the notes as they were at `tip`, a revision of [`NOTES`]: of many, each is found without looking through all.
    pub fn notes(&self, tip: &Revision) -> Result<Notes<'_>, Error> {
        Ok(Notes(self.files(tip)?))
    }

    /// Writes the note on a revision, in place of the one before.
    pub fn write_note(&self, revision: &Revision, by: &Signature, text: &str) -> Result<(), Error> {
        let failed = |source| Error::Note { revision: *revision, source };
        let by = by.to_git()?;
        let _owner = self.as_owner()?;
        let _section = critical::enter();
        let id: Oid = oid(revision);
        self.repository.note(&by, &by, Some(NOTES), id, text, true).map(drop).map_err(failed)
    }
}
