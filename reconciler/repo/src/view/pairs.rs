//! Pairs of a commit of the state repo and the one of a view that stands for it: a file that only grows, read whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use berth_schema::view::RULES;
use git2::Oid;

use super::error::{ViewError, file};
use super::pages::Pages;

/// The name of the file in the view's folder.
const FILE: &str = "berth-commits";

const OID: usize = 20;
/// Two ids: the state repo's, then the view's.
const RECORD: usize = 2 * OID;

/// The pairs of one view.
#[derive(Debug)]
pub(super) struct Pairs {
    path: PathBuf,
    to_view: HashMap<Oid, Oid>,
    to_real: HashMap<Oid, Oid>,
    unsaved: Vec<u8>,
}

impl Pairs {
    /// Reads the pairs of the view in `folder`. `None` when there are none, or they were made by other rules.
    pub(super) fn load(folder: &Path, pages: Pages) -> Result<Option<Self>, ViewError> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(file("read", path)(source)),
        };
        let Some(records) = bytes.strip_prefix(heading(pages).as_slice()) else { return Ok(None) };
        let (mut to_view, mut to_real) = (HashMap::new(), HashMap::new());
        // A crash may have cut off the last record, which then counts for nothing.
        for record in records.chunks_exact(RECORD) {
            let (real, view) = record.split_at(OID);
            if let (Ok(real), Ok(view)) = (Oid::from_bytes(real), Oid::from_bytes(view)) {
                to_view.insert(real, view);
                to_real.insert(view, real);
            }
        }
        let torn = records.len() % RECORD;
        if torn > 0 {
            let length = (bytes.len() - torn) as u64;
            let cut = File::options().write(true).open(&path).and_then(|file| file.set_len(length));
            cut.map_err(file("cut", &path))?;
        }
        Ok(Some(Self { path, to_view, to_real, unsaved: Vec::new() }))
    }

    /// Returns whether the pairs of the view in `folder` were made by the rules that hold now. Somebody may be writing them.
    pub(super) fn are_by_rules(folder: &Path, pages: Pages) -> Result<bool, ViewError> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes.starts_with(&heading(pages))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(file("read", path)(source)),
        }
    }

    /// Begins a file without pairs.
    pub(super) fn begin(folder: &Path, pages: Pages) -> Result<Self, ViewError> {
        let path = folder.join(FILE);
        fs::write(&path, heading(pages)).map_err(file("write", &path))?;
        Ok(Self { path, to_view: HashMap::new(), to_real: HashMap::new(), unsaved: Vec::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.to_view.is_empty()
    }

    pub(super) fn view_of(&self, real: Oid) -> Option<Oid> {
        self.to_view.get(&real).copied()
    }

    pub(super) fn real_of(&self, view: Oid) -> Option<Oid> {
        self.to_real.get(&view).copied()
    }

    pub(super) fn insert(&mut self, real: Oid, view: Oid) {
        self.to_view.insert(real, view);
        self.to_real.insert(view, real);
        self.unsaved.extend_from_slice(real.as_bytes());
        self.unsaved.extend_from_slice(view.as_bytes());
    }

    /// Writes the pairs that were inserted since the last time.
    pub(super) fn save(&mut self) -> Result<(), ViewError> {
        if !self.unsaved.is_empty() {
            self.append().map_err(file("write", &self.path))?;
            self.unsaved.clear();
        }
        Ok(())
    }

    /// Does the same, and forces the file down: the ids of a member's own commits can't be found out again.
    pub(super) fn save_for_good(&mut self) -> Result<(), ViewError> {
        self.save()?;
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(file("force down", &self.path))
    }

    fn append(&self) -> io::Result<()> {
        File::options().append(true).open(&self.path)?.write_all(&self.unsaved)
    }
}

/// Beginning of the file, as long as a record, so that records stand at multiples of their length.
fn heading(pages: Pages) -> Vec<u8> {
    let pages = match pages {
        Pages::Shown => "",
        Pages::Hidden => ", no docs",
    };
    let mut heading = format!("berth view, rules {RULES}{pages}").into_bytes();
    heading.resize(RECORD, b'\n');
    heading
}
