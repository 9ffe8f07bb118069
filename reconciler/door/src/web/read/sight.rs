//! Sight: what somebody may see. One place decides it for every question.

use std::collections::HashSet;

use berth_schema::State;
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
    },
}

impl Asker {
    /// Returns whether they may see a server: its owner, its members and admins may.
    pub(crate) fn sees(&self, server: &Server) -> bool {
        may_enter(&self.name, self.is_admin(), &server.owner, &server.members)
    }

    /// Returns whether they may change a server's file without asking anybody.
    pub(crate) fn changes(&self, server: &Server) -> bool {
        self.is_admin() || server.owner == self.name
    }

    /// The files that they may see.
    pub(crate) fn sight(&self) -> Sight {
        if self.is_admin() {
            return Sight::Everything;
        }
        let state = self.state();
        let servers = state.servers.values().filter(|server| self.sees(server));
        let names: HashSet<&ServerName> = servers.map(|server| &server.name).collect();
        let domains = state.domains.values().filter(|domain| names.contains(&domain.server));
        let mut paths: HashSet<String> = domains.filter_map(|domain| domain_path(domain)).collect();
        paths.extend(names.iter().map(|name| format!("servers/{name}.toml")));
        paths.insert(format!("users/{}.toml", self.name));
        Sight::Theirs { name: self.name.clone(), paths }
    }
}

impl Sight {
    pub(crate) fn shows(&self, path: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Theirs { paths, .. } => paths.contains(path),
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
            Self::Theirs { name, paths } => {
                paths.iter().any(|path| made.touches(path))
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

/// The kind of an object, and the path of its file; `None` for a name that nothing can have.
pub(crate) fn file_of(object: &Object) -> (Kind, Option<String>) {
    let (kind, name) = match object {
        Object::Server(name) => (Kind::Server, name.as_str()),
        Object::Domain(name) => (Kind::Domain, name.as_str()),
        Object::User(name) => (Kind::User, name.as_str()),
        Object::Platform => (Kind::Platform, ""),
    };
    (kind, form::path(kind, name).ok())
}
