//! `users/<user>.toml`: a member.

use email_address::{EmailAddress, Options};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{At, Fields};
use crate::finding::shown;
use crate::name::{Invalid, UserName};
use crate::password::PasswordHash;
use crate::quantity::{Bytes, Cpus};
pub use crate::ssh_key::SshKey;
use crate::value::choice_values;

/// A member.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct User {
    /// From the file's name.
    #[schemars(skip)]
    pub name: UserName,
    /// What the member may do.
    #[schemars(default)]
    pub role: Role,
    /// Where to reach the member. None unless said.
    #[schemars(email)]
    pub email: Option<String>,
    /// A bcrypt (`$2b$…`, cost 10 to 14) or argon2id hash of the password that opens the panel and SSH. Without one,
    /// only keys do. Never the password itself: everybody who can read the repository reads this.
    #[schemars(regex(pattern = r"^\$(2[aby]|argon2id)\$"))]
    pub password_hash: Option<String>,
    /// OpenSSH public keys, one line each. A key belongs to one member.
    #[schemars(default)]
    pub ssh_keys: Vec<SshKey>,
    /// What the member may use, all servers taken together; the platform's `[quota]` where the file doesn't say.
    #[schemars(default)]
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

/// What a member may use, all servers taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Quota {
    /// Number of servers, running or not.
    pub servers: u32,
    /// Processors of all servers together.
    pub cpus: Cpus,
    /// Memory of all servers together, with its unit.
    pub memory: Bytes,
    /// Disk of all servers together, with its unit.
    pub disk: Bytes,
    /// Number of domains of all servers together.
    pub domains: u32,
    /// Whether names outside the platform's domain are allowed, such as `shop.example.com`.
    pub custom_domains: bool,
}

/// A quota in which every part may be left to the platform's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct QuotaOverride {
    /// Number of servers, running or not.
    pub servers: Option<u32>,
    /// Processors of all servers together.
    pub cpus: Option<Cpus>,
    /// Memory of all servers together, with its unit.
    pub memory: Option<Bytes>,
    /// Disk of all servers together, with its unit.
    pub disk: Option<Bytes>,
    /// Number of domains of all servers together.
    pub domains: Option<u32>,
    /// Whether names outside the platform's domain are allowed, such as `shop.example.com`.
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

/// What is known of a user's file, even when it is refused: enough for other files to be judged.
#[derive(Debug, Clone)]
pub(crate) struct UserFile {
    pub(crate) name: UserName,
    pub(crate) keys: Vec<At<SshKey>>,
}

choice_values! {
    Role, "a role": "\"admin\" or \"user\"",
}

impl UserFile {
    pub(crate) fn read(name: UserName, fields: &mut Fields<'_, '_>) -> (Self, User) {
        let user = User {
            name: name.clone(),
            role: fields.value("role").unwrap_or_default(),
            email: fields.optional_if("email", |email: &String| check_email(email)).map(|found| found.value),
            password_hash: fields.value("password_hash").map(|PasswordHash(hash)| hash),
            ssh_keys: Vec::new(),
            quota: QuotaOverride::default(),
        };
        let keys: Vec<At<SshKey>> = fields.list("ssh_keys").unwrap_or_default();
        let ssh_keys = keys.iter().map(|key| key.value.clone()).collect();
        let quota = fields.table("quota", "`[quota]`", QuotaOverride::read);
        (Self { name, keys }, User { ssh_keys, quota, ..user })
    }
}

impl QuotaOverride {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            servers: fields.value("servers"),
            cpus: fields.value("cpus"),
            memory: fields.optional_if("memory", Bytes::suits_quota).map(|found| found.value),
            disk: fields.optional_if("disk", Bytes::suits_quota).map(|found| found.value),
            domains: fields.value("domains"),
            custom_domains: fields.value("custom_domains"),
        }
    }
}

/// Refuses what no mail can be sent to: a bare address with a full domain is meant.
pub(crate) fn check_email(email: &str) -> Result<(), Invalid> {
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    match EmailAddress::parse_with_options(email, options) {
        Ok(_) => Ok(()),
        Err(_) => Err(Invalid::new(
            format!("`{}` is not an e-mail address", shown(email)),
            "write it as `ann@example.org`",
        )),
    }
}
