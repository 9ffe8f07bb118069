//! `users/<user>.toml`: a member.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::UserName;
use crate::quantity::{Bytes, Cpus};

/// A member.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct User {
    /// From the file's name.
    pub name: UserName,
    /// What the member may do.
    pub role: Role,
    /// Where to reach the member.
    pub email: Option<String>,
    /// A bcrypt (`$2b$…`) or argon2id hash in its usual text form.
    pub password_hash: Option<String>,
    /// OpenSSH public keys.
    pub ssh_keys: Vec<SshKey>,
    /// The member's own quota, the platform's where the file doesn't say.
    pub quota: QuotaOverride,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Their own servers and domains.
    #[default]
    User,
}

/// An OpenSSH public key (RFC 4253, section 6.6, in the one-line form of `authorized_keys`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SshKey(pub(crate) String);

impl SshKey {
    /// The key in its one-line form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a member may use, all servers taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// Number of servers.
    pub servers: u32,
    /// Processor time.
    pub cpus: Cpus,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// Number of domains.
    pub domains: u32,
    /// Whether names outside the platform's domain are allowed.
    pub custom_domains: bool,
}

/// A quota in which every part may be left to the platform's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QuotaOverride {
    /// Number of servers.
    pub servers: Option<u32>,
    /// Processor time.
    pub cpus: Option<Cpus>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Disk.
    pub disk: Option<Bytes>,
    /// Number of domains.
    pub domains: Option<u32>,
    /// Whether names outside the platform's domain are allowed.
    pub custom_domains: Option<bool>,
}

impl QuotaOverride {
    /// The quota that holds: the member's own, else the platform's.
    pub fn over(&self, platform: &Quota) -> Quota {
        Quota {
            servers: self.servers.unwrap_or(platform.servers),
            cpus: self.cpus.unwrap_or(platform.cpus),
            memory: self.memory.unwrap_or(platform.memory),
            disk: self.disk.unwrap_or(platform.disk),
            domains: self.domains.unwrap_or(platform.domains),
            custom_domains: self.custom_domains.unwrap_or(platform.custom_domains),
        }
    }
}
