//! Parts of an assessment that aren't for everybody: a proposal's author reads neither other people's files nor, where only
//! admins read those, the pages of the wiki.

use berth_schema::State;
use berth_schema::docs::FOLDER;
use berth_schema::name::UserName;
use berth_schema::policy::Actor;

use super::assess::{Assessment, Fit};
use crate::hook::hide_from;
use crate::pages::Pages;

/// A reader who may not read everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    name: &'a UserName,
    pages: Pages,
}

impl<'a> Member<'a> {
    /// The actor as such a reader; `None` where they read everything. `state` is the one at `main`, `None` while it has
    /// mistakes.
    pub(crate) fn of(actor: Actor<'a>, state: Option<&State>) -> Option<Self> {
        let is_admin = state.is_some_and(|state| actor.is_admin(state));
        let name = actor.name().filter(|_| !is_admin)?;
        Some(Self { name, pages: Pages::of_members(state) })
    }

    /// Pages of the wiki, as they see them.
    pub(crate) fn pages(self) -> Pages {
        self.pages
    }
}

impl Assessment {
    /// Takes away what a member may not read.
    pub(crate) fn hide_from(&mut self, member: Member<'_>) {
        let Member { name, pages } = member;
        hide_from(name.as_str(), pages, &mut self.findings, &mut self.sources);
        self.files.retain(|file| !pages.hide(&file.path));
        if let Ok(plan) = &mut self.plan {
            plan.keep_from_members();
        }
        if let Fit::Conflicts { files } = &mut self.fit {
            let all = files.len();
            files.retain(|path| !pages.hide(path));
            // That something is in the way they are told, and not which page.
            if files.len() < all {
                files.push(FOLDER.to_owned());
            }
        }
    }
}
