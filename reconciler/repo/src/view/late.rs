//! A push to a `main` that has moved since its author saw it: what it stands on, and what becomes of it.

use git2::{Oid, Repository};

use super::receive::{Merging, Move, Restoring};
use super::trouble::{Trouble, moved_meanwhile};
use crate::MAIN;
use crate::oid::revision_of;

impl Restoring<'_> {
    /// The move of a `main` that has moved since whoever pushed saw it at `old`: from where it is now.
    pub(super) fn late_main(
        &mut self,
        (old, is): (Option<Oid>, Option<Oid>),
        new: Option<Oid>,
        place: usize,
    ) -> Result<Move, Trouble> {
        let (Some(old), Some(is), Some(new)) = (old, is, new) else {
            return Err(Trouble::Refused(moved_meanwhile(MAIN)));
        };
        let is_built_on = |repository: &Repository, new: Oid, old: Oid| {
            Ok::<_, git2::Error>(new == old || repository.graph_descendant_of(new, old)?)
        };
        if !is_built_on(&self.view.real, is, old)? {
            return Err(Trouble::Refused(moved_meanwhile(MAIN)));
        }
        let new = self.restore_up_to(new)?;
        let moved = |new| Move {
            reference: MAIN.to_owned(),
            old: Some(revision_of(is)),
            new: Some(revision_of(new)),
        };
        let repository = self.to_again()?;
        // One that goes back is refused as such.
        if !is_built_on(&repository, new, old)? || is_built_on(&repository, new, is)? {
            return Ok(moved(new));
        }
        // It came in another way, as a proposal does.
        if is_built_on(&repository, is, new)? {
            return Ok(moved(is));
        }
        let (seen, main, pushed) = (revision_of(old), revision_of(is), revision_of(new));
        self.merging = Some(Merging { place, seen, main, pushed });
        Ok(moved(new))
    }
}
