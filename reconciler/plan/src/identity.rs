//! Identities: the public halves of the platform's SSH keys, and what is put into a volume of each.
//!
//! Who holds the private halves is not known here: a step names whose keys it places and how they look from outside, and
//! whoever carries it out makes sure that they do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use berth_schema::name::ServerId;
use berth_schema::user::SshKey;
use serde::{Deserialize, Serialize};

use crate::configuration::digest;

/// The private key that an sshd shows, in its volume.
pub const HOST_KEY: &str = "host_key";
/// The private key that the router logs in to servers with, in its volume.
pub const CLIENT_KEY: &str = "client_key";
/// The keys that may log in to a server, in its volume.
pub const AUTHORIZED_KEYS: &str = "authorized_keys";
/// What a volume's keys look like from outside. It is written last, so that where it is, the rest is.
pub const PLACED: &str = "identity";

/// The public halves of the platform's SSH keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    /// What people see when they connect to the router.
    pub router: SshKey,
    /// What the router logs in to servers with.
    pub client: SshKey,
    /// What each server's sshd shows.
    pub servers: BTreeMap<ServerId, SshKey>,
}

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The router's: its host key, and the one that it logs in to servers with.
    Router,
    /// A server's: its host key.
    Server(ServerId),
}

/// Keys to be placed in a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentitySpec {
    /// The volume.
    pub volume: String,
    /// Whose keys they are.
    pub whose: Whose,
    /// The public half of the host key.
    pub host_key: SshKey,
    /// The public half of the key that logs in to servers: the router has the private one, servers let it in.
    pub client_key: SshKey,
    /// The only address that a server lets that key in from.
    pub from: std::net::Ipv4Addr,
}

impl Identities {
    /// Stands in where only the difference between two states is of interest. Nobody holds the private halves: these are
    /// no keys at all, only numbers in the form of some.
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
        text
    }

    /// The digest of [`PLACED`], which tells whether the keys are in place.
    pub fn digest(&self) -> String {
        digest(self.text().as_bytes())
    }
}
