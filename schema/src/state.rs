//! The whole repo: files parsed one by one, then resolved against each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Domain;
use crate::finding::Finding;
use crate::name::{Fqdn, ServerId, ServerName, UserName};
pub use crate::parse::Parsed;
use crate::platform::Platform;
use crate::secret::Reference;
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
    /// Findings in the accepted state that somebody should look at, sorted by place.
    pub warnings: Vec<Finding>,
}

impl State {
    /// The server of that name. Looks at every server: for one question, not for a loop.
    pub fn server(&self, name: &ServerName) -> Option<&Arc<Server>> {
        self.servers.values().find(|server| server.name == *name)
    }

    /// The secrets that the state refers to.
    pub fn secrets(&self) -> Vec<Reference> {
        let forge = self.platform.remote.iter().flat_map(|remote| remote.secrets());
        let oidc = self.platform.panel.iter().filter_map(|panel| panel.oidc.as_ref());
        let oidc = oidc.flat_map(|oidc| oidc.secrets());
        let mail = self.platform.mail.iter().map(|mail| mail.secrets());
        let alarms = self.platform.alarms.iter().flat_map(|alarms| alarms.secrets());
        let backup = self.platform.backup.iter().flat_map(|backup| backup.secrets());
        let others = oidc.chain(mail).chain(alarms).chain(backup);
        forge.chain(self.platform.acme.secrets()).chain(others).collect()
    }

    /// Returns the quota that holds for a member.
    pub fn quota(&self, user: &User) -> Quota {
        user.quota.over(&self.platform.quota)
    }
}
