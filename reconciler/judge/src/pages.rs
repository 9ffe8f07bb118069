//! Pages of the wiki, as somebody who isn't an admin sees them in changes.

use berth_schema::State;
use berth_schema::docs::is_below;

/// Pages of the wiki, as a member sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// As they are.
    Shown,
    /// Nobody but admins reads them (`docs.read`).
    Hidden,
}

impl Pages {
    /// Reads from a state whether members see them. Without a good one they don't: nobody knows what it would say.
    pub fn of_members(state: Option<&State>) -> Self {
        match state {
            Some(state) if state.platform.docs.may_read(true, false) => Self::Shown,
            _ => Self::Hidden,
        }
    }

    /// Returns whether a path is one of a page that is hidden.
    pub(crate) fn hide(self, path: &str) -> bool {
        self == Self::Hidden && is_below(path)
    }
}
