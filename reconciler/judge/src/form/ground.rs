//! The ground of every answer: the repository, the tip of `main`, and the person who asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use berth_repo::{Error, Revision, Signature, StateRepo};
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use berth_schema::veil::blackened;
use berth_schema::{Finding, State};

use super::error::FormError;
use super::marks::Marks;
use super::tell::Sight;
use crate::hook::Acts;
use crate::pages::Pages;
use crate::review::signature;
use crate::sights::Sights;

/// Somebody who changes something, and the eyes that the judge has meanwhile.
#[derive(Clone, Copy)]
pub struct Author<'a> {
    /// The member.
    pub name: &'a UserName,
    /// The source that sees the engine.
    pub engine: &'a dyn Sights,
    /// Address that they come from, as `access.panel` sees it; `None` where that doesn't bind them.
    pub from: Option<IpAddr>,
    /// Way in which their change comes.
    pub via: Via,
}

/// Way in which a change comes that somebody didn't push, as the commit's trailer names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The panel's pages.
    Panel,
    /// The API.
    Api,
    /// The API, by a token that lets its owner do no more than a member, whatever their role is.
    NarrowToken,
    /// The lobby, over SSH.
    Ssh,
}

impl Via {
    /// The way in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Panel => "panel",
            Self::Api | Self::NarrowToken => "api",
            Self::Ssh => "ssh",
        }
    }

    /// Power in which somebody acts who comes this way.
    pub(super) fn acts(self) -> Acts {
        match self {
            Self::Panel | Self::Api | Self::Ssh => Acts::AsThemselves,
            Self::NarrowToken => Acts::AsMember,
        }
    }
}

impl<'a> Author<'a> {
    /// Them, as the policy is asked about them.
    pub(super) fn actor(&self) -> Actor<'a> {
        match self.via.acts() {
            Acts::AsThemselves => Actor::Member(self.name),
            Acts::AsMember => Actor::AsMember(self.name),
        }
    }
}

/// The state repo at one moment, as somebody sees it.
pub(super) struct Ground<'a> {
    pub(super) repo: &'a mut StateRepo,
    pub(super) main: Revision,
    /// The state there; `None` while it has mistakes.
    pub(super) state: Option<Arc<State>>,
    pub(super) author: Author<'a>,
    /// The resolver that is asked for proofs, in place of the platform's.
    pub(super) resolver: Option<SocketAddr>,
    /// Names of the marks that stand for secrets in texts. Without them, no mark in a text stands for anything.
    pub(super) marks: Option<&'a Marks>,
}

impl<'a> Ground<'a> {
    /// Looks at `main` as it is now.
    pub(super) fn look(
        repo: &'a mut StateRepo,
        author: Author<'a>,
        resolver: Option<SocketAddr>,
    ) -> Result<Self, FormError> {
        let path = repo.git_dir().to_owned();
        let failed = |source| FormError::Repo { path: path.clone(), source };
        let main = repo.head().map_err(failed)?.ok_or_else(|| FormError::Empty { path: path.clone() })?;
        let state = repo.load(&main).map_err(failed)?.state.ok();
        Ok(Self { repo, main, state, author, resolver, marks: None })
    }

    /// Whom the person asks for what they may not do.
    pub(super) fn help(&self) -> &str {
        self.state.as_ref().map_or("an admin", |state| state.platform.organisation.help())
    }

    /// Returns whether the person may do everything.
    pub(super) fn is_admin(&self) -> bool {
        self.state.as_ref().is_some_and(|state| self.author.actor().is_admin(state))
    }

    /// Returns whether they could do everything, and can't in the way in which they come.
    pub(super) fn is_held_back(&self) -> bool {
        let is_one = |state: &Arc<State>| Actor::Member(self.author.name).is_admin(state);
        self.state.as_ref().is_some_and(is_one) && !self.is_admin()
    }

    /// Returns who reads, for pages that don't show everything to everybody.
    pub(super) fn sight(&self) -> Sight<'a> {
        match self.marks {
            _ if !self.is_admin() => Sight::Of(self.author.name, Pages::of_members(self.state.as_deref())),
            Some(marks) => Sight::Marked(marks),
            None => Sight::Whole,
        }
    }

    /// Returns a file's text as an editor is shown it.
    pub(super) fn shown(&self, path: &str, text: &str) -> String {
        let veiled = self.marks.and_then(|marks| Some(marks.veil(path, text)?.text));
        veiled.or_else(|| blackened(path, text)).unwrap_or_default()
    }

    /// Puts the secrets of the text that an editor began from back into the one that they sent.
    pub(super) fn restored(&self, path: &str, began: &str, sent: &str) -> Result<String, Vec<Finding>> {
        match self.marks {
            Some(marks) => marks.restore(path, began, sent),
            None => Ok(sent.to_owned()),
        }
    }

    /// Returns the signature of a commit that is made now.
    pub(super) fn signature(&self) -> Signature {
        signature(self.author.actor(), self.state.as_deref())
    }

    /// Returns the text of a file of `main`; `None` where there is none that is text.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>, FormError> {
        self.text_at(&self.main, path)
    }

    /// Returns the text of a file at a revision; `None` where there is none that is text.
    pub(super) fn text_at(&self, revision: &Revision, path: &str) -> Result<Option<String>, FormError> {
        let bytes = self.repo.read(revision, path).map_err(|source| self.failed(source))?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    pub(super) fn failed(&self, source: Error) -> FormError {
        FormError::Repo { path: self.repo.git_dir().to_owned(), source }
    }
}
