//! Memory: the revisions that were read last, for whoever reads the next.
//!
//! A state of ten thousand files takes a tenth of a second to parse, and milliseconds to put together. Everybody in a process
//! who reads the same repository may share one memory, so that each revision is read once, whoever asks for it.

use std::collections::VecDeque;
use std::sync::Arc;

use berth_schema::register::IdRegister;
use git2::Oid;
use parking_lot::Mutex;

use crate::folder::Folder;
use crate::work::{Work, Worked};
use crate::{Loaded, Revision};

/// Revisions that are kept: `main`, what it was when somebody parted from it, and what it may become.
const KEPT: usize = 3;

/// The revisions of a repository that were read last. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    known: Arc<Mutex<VecDeque<Known>>>,
    gathered: Arc<Mutex<Option<Gathered>>>,
    /// The register of ids that was kept, and the revision that held it.
    ids: Arc<Mutex<Option<(Revision, IdRegister)>>>,
    work: Arc<Work>,
}

/// A revision that was read. Its good files are kept even when it was refused as a whole.
#[derive(Debug, Clone)]
struct Known {
    folder: Arc<Folder>,
    loaded: Loaded,
}

/// Ids and their last owners, of every revision that `main` was at until one.
#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    pub(crate) tip: Oid,
    pub(crate) register: IdRegister,
}

impl Memory {
    /// Returns a memory of its own that knows the same by now. What is only tried out needn't be everybody's.
    pub(crate) fn apart(&self) -> Self {
        Self {
            known: Arc::new(Mutex::new(self.known.lock().clone())),
            gathered: Arc::clone(&self.gathered),
            ids: Arc::clone(&self.ids),
            work: Arc::clone(&self.work),
        }
    }

    /// Learns what another memory of the same objects knows.
    pub fn learn_from(&self, other: &Self) {
        let theirs: Vec<Known> = other.known.lock().iter().cloned().collect();
        for known in theirs.into_iter().rev() {
            self.learn(known.folder, &known.loaded);
        }
    }

    /// Counts what was read so far, through every clone.
    pub fn worked(&self) -> Worked {
        self.work.so_far()
    }

    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    /// The register of ids that this revision holds, if it was read last.
    pub(crate) fn ids_at(&self, revision: &Revision) -> Option<IdRegister> {
        self.ids.lock().as_ref().filter(|(at, _)| at == revision).map(|(_, ids)| ids.clone())
    }

    pub(crate) fn learn_ids(&self, revision: Revision, ids: &IdRegister) {
        *self.ids.lock() = Some((revision, ids.clone()));
    }

    /// The register of ids that was gathered from history last.
    pub(crate) fn gathered(&self) -> Option<Gathered> {
        self.gathered.lock().clone()
    }

    pub(crate) fn learn_gathered(&self, gathered: &Gathered) {
        *self.gathered.lock() = Some(gathered.clone());
    }

    /// The outcome of reading this tree, if it is known.
    pub(crate) fn recall(&self, tree: Oid) -> Option<Loaded> {
        let mut known = self.known.lock();
        let at = known.iter().position(|known| known.folder.id() == tree)?;
        let found = known.remove(at)?;
        let loaded = found.loaded.again();
        known.push_front(found);
        Some(loaded)
    }

    /// The folder of this tree, if it is known.
    pub(crate) fn folder(&self, tree: Oid) -> Option<Arc<Folder>> {
        let known = self.known.lock();
        let found = known.iter().find(|known| known.folder.id() == tree)?;
        Some(Arc::clone(&found.folder))
    }

    /// The folder of the revision that was read or recalled last: most of the next one is the same.
    pub(crate) fn newest(&self) -> Option<Arc<Folder>> {
        self.known.lock().front().map(|known| Arc::clone(&known.folder))
    }

    pub(crate) fn learn(&self, folder: Arc<Folder>, loaded: &Loaded) {
        let mut known = self.known.lock();
        // Two may have read the same at once.
        known.retain(|known| known.folder.id() != folder.id());
        known.push_front(Known { folder, loaded: loaded.clone() });
        known.truncate(KEPT);
    }
}
