//! Identities: the public halves of the platform's SSH keys, and what goes into a volume of each.
//!
//! This module doesn't know who holds the private halves. A step names whose keys it places and their public halves, and
//! whoever carries it out makes sure that the private halves match.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use berth_schema::name::ServerId;
use berth_schema::user::SshKey;
use serde::{Deserialize, Serialize};

use crate::digest::digest;

/// The private key that an sshd shows, in its volume.
pub const HOST_KEY: &str = "host_key";
/// The private key that the router logs in to servers with, in its volume.
pub const CLIENT_KEY: &str = "client_key";
/// The keys that may log in to a server, in its volume.
pub const AUTHORIZED_KEYS: &str = "authorized_keys";
/// The word before a server's name in [`PLACED`]. An engine can't give a container another host name, so the server does that itself.
const NAME: &str = "name";
/// The description of a volume's keys by their public halves. It is written last, so that it proves the rest.
pub const PLACED: &str = "identity";

/// The public halves of the platform's SSH keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    /// Host key that people see when they connect to the router.
    pub router: SshKey,
    /// Key that the router logs in to servers with.
    pub client: SshKey,
    /// Host key that each server's sshd shows.
    pub servers: BTreeMap<ServerId, SshKey>,
}

/// Owner of SSH keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The router, which has a host key and the key that it logs in to servers with.
    Router,
    /// A server, which has a host key.
    Server(ServerId),
}

/// Keys to be placed in a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentitySpec {
    /// The volume.
    pub volume: String,
    /// Owner of the keys.
    pub whose: Whose,
    /// The public half of the host key.
    pub host_key: SshKey,
    /// The public half of the key that logs in to servers: the router has the private half, and servers let it in.
    pub client_key: SshKey,
    /// The only address that a server lets that key in from.
    pub from: std::net::Ipv4Addr,
    /// The server's name, which it takes for its host name and for an account in it. `None` for the router's keys.
    pub name: Option<String>,
}

impl Identities {
    /// Makes identities that stand in where only the difference between two states matters. Nobody holds the private
    /// halves: these aren't keys, only numbers in the form of keys.
    pub fn example(servers: impl IntoIterator<Item = ServerId>) -> Self {
        let key = |what: &str| SshKey::ed25519(blake3::hash(what.as_bytes()).as_bytes());
        let servers = servers.into_iter().map(|id| (id, key(&format!("server {id}"))));
        Self { router: key("router"), client: key("client"), servers: servers.collect() }
    }
}

impl IdentitySpec {
    /// The text of [`AUTHORIZED_KEYS`].
    pub fn authorized_keys(&self) -> String {
        format!("from=\"{}\" {} berth-ssh-router\n", self.from, self.client_key)
    }

    /// The text of [`PLACED`].
    pub fn text(&self) -> String {
        let mut text = "# The keys beside this file, from outside. Berth writes all of them.\n".to_owned();
        // Writing to a text can't fail.
        let _ = writeln!(text, "{HOST_KEY} {}", self.host_key);
        let _ = match self.whose {
            Whose::Router => writeln!(text, "{CLIENT_KEY} {}", self.client_key),
            Whose::Server(_) => write!(text, "{AUTHORIZED_KEYS} {}", self.authorized_keys()),
        };
        if let Some(name) = &self.name {
            let _ = writeln!(text, "{NAME} {name}");
        }
        text
    }

    /// The digest of [`PLACED`], which tells whether the keys are in place.
    pub fn digest(&self) -> String {
        digest(self.text().as_bytes())
    }
}
