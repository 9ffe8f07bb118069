//! Pages of the wiki, as members see them: the settings on main say whether they do.

use berth_schema::view::hides_docs;
use git2::{Oid, Repository};

use super::error::{ViewError, git};
use crate::{MAIN, tree};

/// Pages of the wiki, as members see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    Shown,
    /// Nobody but admins reads them (`docs.read`).
    Hidden,
}

impl Pages {
    /// Reads from main whether members see them.
    pub(super) fn read(real: &Repository) -> Result<Self, ViewError> {
        let tip = real.refname_to_id(MAIN).map_err(git("read main"))?;
        Self::read_at(real, tip)
    }

    /// Reads it from a commit of main.
    pub(super) fn read_at(real: &Repository, tip: Oid) -> Result<Self, ViewError> {
        let read = || {
            let tree = real.find_commit(tip)?.tree()?;
            let entry = tree::entry(real, &tree, b"platform.toml")?.filter(|entry| entry.is_plain());
            let Some(entry) = entry else { return Ok(Self::Hidden) };
            let blob = real.find_blob(entry.id)?;
            let is_hidden = std::str::from_utf8(blob.content()).map_or(true, hides_docs);
            Ok(if is_hidden { Self::Hidden } else { Self::Shown })
        };
        read().map_err(git("read who sees the wiki on main"))
    }
}
