//! Eye of whoever looks: which of the state repo's files are shown, and as what.

use berth_schema::name::UserName;
use berth_schema::view::{Shown, is_open, shown, shown_to_all};
use berth_schema::{Kind, docs};
use git2::{FileMode, ObjectType, Repository};

use super::pages::Pages;
use super::room::Room;
use crate::LARGEST_FILE;
use crate::tree::Entry;

/// A member, or all of them as far as they see the same.
pub(super) struct Eye<'u> {
    /// The member; `None` for what everybody sees.
    user: Option<&'u UserName>,
    pages: Pages,
}

impl<'u> Eye<'u> {
    pub(super) fn of(user: &'u UserName, pages: Pages) -> Self {
        Self { user: Some(user), pages }
    }
}

impl Eye<'static> {
    pub(super) fn of_everybody(pages: Pages) -> Self {
        Self { user: None, pages }
    }
}

impl Eye<'_> {
    /// Shows an entry of the state repo `real`, and puts its object into the room. `None` where nothing is shown.
    pub(super) fn show(
        &self,
        real: &Repository,
        room: &mut Room,
        path: &[u8],
        entry: Option<Entry>,
    ) -> Result<Option<Entry>, git2::Error> {
        let (Some(entry), Ok(text)) = (entry, std::str::from_utf8(path)) else { return Ok(None) };
        if hides(self.pages, path)
            || !is_open(text)
            || Kind::of(text) == Some(Kind::User) && !entry.is_plain()
        {
            return Ok(None);
        }
        if entry.mode == FileMode::Commit {
            return Ok(Some(entry));
        }
        let objects = real.odb()?;
        // Nobody looks for a hash in there, so nobody sees it.
        if objects.read_header(entry.id)?.0 > LARGEST_FILE {
            return Ok(None);
        }
        let blob = objects.read(entry.id)?;
        let shown = match self.user {
            Some(user) => shown(user, text, blob.data()),
            None => shown_to_all(text, blob.data()),
        };
        let id = match shown {
            Shown::Whole => room.write(ObjectType::Blob, blob.data(), path)?,
            Shown::As(content) => room.write(ObjectType::Blob, &content, path)?,
            Shown::Not => return Ok(None),
        };
        Ok(Some(Entry { id, mode: entry.mode }))
    }
}

/// Returns whether a path is one of the wiki's, which no member reads.
pub(super) fn hides(pages: Pages, path: &[u8]) -> bool {
    pages == Pages::Hidden && docs::is_below(&String::from_utf8_lossy(path))
}
