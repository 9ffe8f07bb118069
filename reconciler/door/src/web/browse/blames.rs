//! Answers of git's about the commits that lines are from, kept for whoever asks again: a revision never changes.

use std::collections::VecDeque;
use std::sync::Arc;

use berth_repo::{Blamed, Revision};
use parking_lot::Mutex;

/// Answers that are kept.
const KEPT: usize = 64;

/// Part of a file whose lines were asked about: revision, path, first line.
pub(super) type Part = (Revision, String, usize);

/// Answers of git's that were given before.
#[derive(Debug, Default)]
pub(crate) struct Blames(Mutex<VecDeque<(Part, Arc<[Blamed]>)>>);

impl Blames {
    pub(super) fn find(&self, part: &Part) -> Option<Arc<[Blamed]>> {
        self.0.lock().iter().find(|(kept, _)| kept == part).map(|(_, blamed)| Arc::clone(blamed))
    }

    pub(super) fn keep(&self, part: Part, blamed: &Arc<[Blamed]>) {
        let mut kept = self.0.lock();
        kept.push_front((part, Arc::clone(blamed)));
        kept.truncate(KEPT);
    }
}
