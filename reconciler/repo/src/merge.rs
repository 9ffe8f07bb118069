//! A merge of two lines of history that changed different files, made from what differs alone.
//!
//! Git compares whole trees, and looks for renamed files in them. Where no path was changed on both sides there is nothing to
//! settle, and then the work grows with the change instead of the state. Whatever is less simple is left to git.

use git2::{Commit, Oid};

use crate::StateRepo;
use crate::tree::{Stand, Trees, changed};

impl StateRepo {
    /// The tree of a merge of `theirs` into `ours`; `None` where only a look at all of it can tell.
    pub(crate) fn merged_apart(
        &self,
        ours: &Commit<'_>,
        theirs: &Commit<'_>,
    ) -> Result<Option<Oid>, git2::Error> {
        let bases = self.repository.merge_bases(ours.id(), theirs.id());
        let Some([base]) = bases.as_deref().ok() else { return Ok(None) };
        let base = self.repository.find_commit(*base)?.tree_id();
        let (ours, theirs) = (ours.tree_id(), theirs.tree_id());
        let trees = Trees::new(&self.repository);
        let mut edits = Vec::new();
        for (path, after) in trees.changes(Some(base), theirs)? {
            let (then, now) = (trees.stand(base, &path)?, trees.stand(ours, &path)?);
            let is_plain = |stand| matches!(stand, Stand::Nothing | Stand::Entry(_));
            if !is_plain(then) || !is_plain(now) {
                return Ok(None);
            }
            let wanted = after.map_or(Stand::Nothing, Stand::Entry);
            if now == wanted {
                continue;
            }
            if now != then {
                return Ok(None);
            }
            edits.push((path, after));
        }
        changed(&self.repository, ours, &edits).map(Some)
    }
}
