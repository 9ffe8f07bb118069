//! Memory: the revisions that were read last, for whoever reads the next.
//!
//! A state of ten thousand files takes a tenth of a second to parse, and milliseconds to put together. Everybody in a process
//! who reads the same repository may share one memory, so that each revision is read once, whoever asks for it.

use std::collections::VecDeque;
use std::sync::Arc;

use git2::Oid;
use parking_lot::Mutex;

use crate::Loaded;
use crate::folder::Folder;

/// Revisions that are kept: `main`, and what it may become.
const KEPT: usize = 2;

/// The revisions of a repository that were read last. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<VecDeque<Known>>>);

/// A revision that was read. Its good files are kept even when it was refused as a whole.
#[derive(Debug, Clone)]
struct Known {
    folder: Arc<Folder>,
    loaded: Loaded,
}

impl Memory {
    /// Returns a memory of its own that knows the same by now. What is only tried out needn't be everybody's.
    pub(crate) fn apart(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    /// The outcome of reading this tree, if it is known.
    pub(crate) fn recall(&self, tree: Oid) -> Option<Loaded> {
        let mut known = self.0.lock();
        let at = known.iter().position(|known| known.folder.id() == tree)?;
        let found = known.remove(at)?;
        let loaded = found.loaded.again();
        known.push_front(found);
        Some(loaded)
    }

    /// The folder of this tree, if it is known.
    pub(crate) fn folder(&self, tree: Oid) -> Option<Arc<Folder>> {
        let known = self.0.lock();
        let found = known.iter().find(|known| known.folder.id() == tree)?;
        Some(Arc::clone(&found.folder))
    }

    /// The folder of the revision that was read or recalled last: most of the next one is the same.
    pub(crate) fn newest(&self) -> Option<Arc<Folder>> {
        self.0.lock().front().map(|known| Arc::clone(&known.folder))
    }

    pub(crate) fn learn(&self, folder: Arc<Folder>, loaded: &Loaded) {
        let mut known = self.0.lock();
        // Two may have read the same at once.
        known.retain(|known| known.folder.id() != folder.id());
        known.push_front(Known { folder, loaded: loaded.clone() });
        known.truncate(KEPT);
    }
}
