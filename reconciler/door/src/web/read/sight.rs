//! Sight: what somebody may see. One place decides it for every question.

use std::collections::HashSet;

use berth_schema::State;
use berth_schema::docs::{DocPath, is_below};
use berth_schema::domain::Domain;
use berth_schema::form;
use berth_schema::kind::Kind;
use berth_schema::name::{ServerName, UserName};
use berth_schema::route::may_enter;
use berth_schema::server::Server;
use berth_wire::web::Object;

use super::super::panel::Asker;
use super::super::past::Made;

/// The files that somebody may see.
pub(crate) enum Sight {
    Everything,
    /// These paths, and what somebody removed that was theirs.
    Theirs {
        name: UserName,
        paths: HashSet<String>,
        /// Set if they read the wiki, too.
        docs: bool,
    },
}

/// Somebody who reads or changes, and the state that says what is theirs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewer<'s> {
    pub(crate) name: &'s UserName,
    pub(crate) is_admin: bool,
    pub(crate) state: &'s State,
}

impl Asker {
    /// Them, as what they see and change is decided.
    pub(crate) fn viewer(&self) -> Viewer<'_> {
        Viewer { name: &self.name, is_admin: self.is_admin(), state: self.state() }
    }

    /// Returns whether they may see a server.
    pub(crate) fn sees(&self, server: &Server) -> bool {
        self.viewer().sees(server)
    }

    /// Returns whether they may change a server's file without asking anybody.
    pub(crate) fn changes(&self, server: &Server) -> bool {
        self.viewer().changes(server)
    }

    /// The files that they may see.
    pub(crate) fn sight(&self) -> Sight {
        self.viewer().sight()
    }
}

impl Viewer<'_> {
    /// Returns whether they may see a server: its owner, its members and admins may.
    pub(crate) fn sees(&self, server: &Server) -> bool {
        may_enter(self.name, self.is_admin, &server.owner, &server.members)
    }

    /// Returns whether they may change a server's file without asking anybody.
    pub(crate) fn changes(&self, server: &Server) -> bool {
        self.is_admin || server.owner == *self.name
    }

    /// The files that they may see.
    pub(crate) fn sight(&self) -> Sight {
        if self.is_admin {
            return Sight::Everything;
        }
        let state = self.state;
        let servers = state.servers.values().filter(|server| self.sees(server));
        let names: HashSet<&ServerName> = servers.map(|server| &server.name).collect();
        let domains = state.domains.values().filter(|domain| names.contains(&domain.server));
        let mut paths: HashSet<String> = domains.filter_map(|domain| domain_path(domain)).collect();
        paths.extend(names.iter().map(|name| format!("servers/{name}.toml")));
        paths.insert(format!("users/{}.toml", self.name));
        let docs = state.platform.docs.may_read(true, false);
        Sight::Theirs { name: self.name.clone(), paths, docs }
    }

    /// Returns whether a commit changes nothing but what they may change. The first of all can't be taken back.
    pub(crate) fn may_revert(&self, made: &Made) -> bool {
        let state = self.state;
        let is_elsewhere = state.platform.remote.as_ref().is_some_and(|remote| !remote.opens_pulls());
        if made.parent.is_none() || is_elsewhere {
            return false;
        }
        if self.is_admin {
            return true;
        }
        let own: HashSet<&ServerName> =
            state.servers.values().filter(|server| self.changes(server)).map(|server| &server.name).collect();
        let domains = state.domains.values().filter(|domain| own.contains(&domain.server));
        let mut paths: HashSet<String> = domains.filter_map(|domain| domain_path(domain)).collect();
        paths.extend(own.iter().map(|name| format!("servers/{name}.toml")));
        paths.insert(format!("users/{}.toml", self.name));
        let was_theirs = made.removed.iter().filter(|(_, owner)| owner == self.name);
        paths.extend(was_theirs.map(|(path, _)| path.clone()));
        let pages = state.platform.docs.may_edit(self.name);
        made.paths.iter().all(|path| paths.contains(path) || pages && is_below(path))
    }
}

impl Sight {
    pub(crate) fn shows(&self, path: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Theirs { paths, docs, .. } => paths.contains(path) || *docs && is_below(path),
        }
    }

    /// The paths of a commit that they may see.
    pub(crate) fn of<'m>(&self, made: &'m Made) -> Vec<&'m str> {
        let was_theirs = |path: &String| match self {
            Self::Everything => true,
            Self::Theirs { name, .. } => {
                made.removed.iter().any(|(removed, owner)| removed == path && owner == name)
            }
        };
        let shown = made.paths.iter().filter(|path| self.shows(path) || was_theirs(path));
        shown.map(String::as_str).collect()
    }

    /// Returns whether they may see a commit: it touches something that they may see.
    pub(crate) fn sees(&self, made: &Made) -> bool {
        match self {
            Self::Everything => true,
            Self::Theirs { name, paths, docs } => {
                *docs && made.paths.iter().any(|path| is_below(path))
                    || paths.iter().any(|path| made.touches(path))
                    || made.removed.iter().any(|(_, owner)| owner == name)
            }
        }
    }
}

/// The server of a domain, if it is there.
pub(crate) fn server_of<'s>(state: &'s State, domain: &Domain) -> Option<&'s Server> {
    state.server(&domain.server).map(|server| &**server)
}

/// The path of a domain's file.
pub(crate) fn domain_path(domain: &Domain) -> Option<String> {
    form::path(Kind::Domain, domain.fqdn.as_str()).ok()
}

/// The path of an object's file; `None` for a name that nothing can have.
pub(crate) fn file_of(object: &Object) -> Option<String> {
    let (kind, name) = match object {
        Object::File(path) => return Some(path.clone()),
        Object::Server(name) => (Kind::Server, name.as_str()),
        Object::Domain(name) => (Kind::Domain, name.as_str()),
        Object::User(name) => (Kind::User, name.as_str()),
        Object::Platform => (Kind::Platform, ""),
        Object::Doc(below) => return DocPath::read(below).map(|path| path.as_str().to_owned()),
    };
    form::path(kind, name).ok()
}

/// The kind of an object whose fields a form has.
pub(crate) fn kind_of(object: &Object) -> Option<Kind> {
    match object {
        Object::Server(_) => Some(Kind::Server),
        Object::Domain(_) => Some(Kind::Domain),
        Object::User(_) => Some(Kind::User),
        Object::Platform => Some(Kind::Platform),
        Object::File(_) | Object::Doc(_) => None,
    }
}
