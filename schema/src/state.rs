//! The whole repo: files parsed one by one, then resolved against each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Domain;
use crate::finding::Finding;
use crate::name::{Fqdn, ServerId, ServerName, UserName};
pub use crate::parse::Parsed;
use crate::platform::Platform;
use crate::resolve::Files;
use crate::server::Server;
use crate::user::{Quota, User};

/// A state repo in which every reference resolves.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The settings.
    pub platform: Arc<Platform>,
    /// The members.
    pub users: BTreeMap<UserName, Arc<User>>,
    /// The servers.
    pub servers: BTreeMap<ServerId, Arc<Server>>,
    /// The domains.
    pub domains: BTreeMap<Fqdn, Arc<Domain>>,
    /// What is accepted and should be looked at, sorted by place.
    pub warnings: Vec<Finding>,
}

impl State {
    /// Resolves files against each other. `Err` holds every finding, sorted by place.
    pub fn assemble<'a>(files: impl IntoIterator<Item = &'a Parsed>) -> Result<Self, Vec<Finding>> {
        Files::of(files).resolve()
    }

    /// The server of that name. Looks at every server: for one question, not for a loop.
    pub fn server(&self, name: &ServerName) -> Option<&Arc<Server>> {
        self.servers.values().find(|server| server.name == *name)
    }

    /// What a member may use.
    pub fn quota(&self, user: &User) -> Quota {
        user.quota.over(&self.platform.quota)
    }
}
