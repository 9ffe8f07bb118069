//! `users/<user>.toml`: a member.

use std::num::NonZeroU32;

use email_address::{EmailAddress, Options};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::api_token::ApiToken;
use crate::fields::{At, Fields};
use crate::forge_account::ForgeAccount;
use crate::invalid::Invalid;
use crate::name::UserName;
pub use crate::oidc_account::OidcAccount;
pub use crate::passkey::Passkey;
use crate::password::PasswordHash;
use crate::quantity::{Bytes, Cpus};
pub use crate::ssh_key::SshKey;
use crate::text::shown;
use crate::value::choice_values;

/// A member.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct User {
    /// Name of the member, from the file's name.
    #[schemars(skip)]
    pub name: UserName,
    /// Permissions of the member.
    #[schemars(default)]
    pub role: Role,
    /// E-mail address of the member. None by default.
    #[schemars(email)]
    pub email: Option<String>,
    /// A bcrypt (`$2b$…`, cost 10 to 14) or argon2id hash of the password that opens the panel and SSH. Without one,
    /// only keys do. Never write the password itself: everybody who can read the repository reads this.
    #[schemars(regex(pattern = r"^\$(2[aby]|argon2id)\$"))]
    pub password_hash: Option<String>,
    /// OpenSSH public keys, one line each. A key belongs to one member.
    #[schemars(default)]
    pub ssh_keys: Vec<SshKey>,
    /// Passkeys that open the panel, one line each: id, public key, name. The panel adds them, under Account. A passkey belongs to
    /// one member.
    #[schemars(default)]
    pub passkeys: Vec<Passkey>,
    /// Accounts at OpenID providers by which the member signs in, one line each: issuer, subject. The panel adds them, under Account. An
    /// account belongs to one member.
    #[schemars(default)]
    pub oidc: Vec<OidcAccount>,
    /// Accounts of the member at the forge that hosts the state repo, such as `github.com/anna`: a change that comes from one of them is
    /// judged as the member's (`berth why --forge-account`). An account belongs to one member. Admins add them.
    #[schemars(default)]
    pub forge_accounts: Vec<ForgeAccount>,
    /// Tokens by which programs use the API in the member's place, one line each: digest, scopes, beginning, end, name. The panel and
    /// the API make them; a member may take one out by a push. A token is one member's.
    #[schemars(default)]
    pub tokens: Vec<ApiToken>,
    /// Second factor that the panel asks for after the password. The panel sets it, under Account: the secret is on the host, so
    /// this line alone lets nobody in, and without the secret an admin has to invite the member anew. None by default.
    pub second_factor: Option<SecondFactor>,
    /// Amounts that the member may use, all servers taken together. The platform's `[quota]` holds for amounts that
    /// the file doesn't set.
    #[schemars(default)]
    pub quota: QuotaOverride,
}

/// Permissions of a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Their own servers and domains.
    #[default]
    User,
}

/// Second factor of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactor {
    /// Codes of an app, a new one every 30 seconds (RFC 6238).
    Totp,
}

/// Amounts that a member may use, all servers taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Quota {
    /// Number of servers, running or not.
    pub servers: u32,
    /// Processors of all servers together.
    pub cpus: Cpus,
    /// Memory of all servers together, with its unit.
    pub memory: Bytes,
    /// Processes and threads of all servers together; by default, as many as `servers` servers get that say nothing.
    pub pids: Option<u32>,
    /// Disk of all servers together, with its unit.
    pub disk: Bytes,
    /// Number of domains of all servers together.
    pub domains: u32,
    /// Number of names for which they may newly need a certificate of the CA's within seven days.
    pub certificates: u32,
    /// Allows names outside the platform's domain, such as `shop.example.com`.
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
    /// Processes and threads of all servers together.
    pub pids: Option<u32>,
    /// Disk of all servers together, with its unit.
    pub disk: Option<Bytes>,
    /// Number of domains of all servers together.
    pub domains: Option<u32>,
    /// Number of names for which they may newly need a certificate of the CA's within seven days.
    pub certificates: Option<u32>,
    /// Allows names outside the platform's domain, such as `shop.example.com`.
    pub custom_domains: Option<bool>,
}

impl Quota {
    /// Processes and threads of all servers together, where one that says nothing gets `each`. Where nobody has said, nobody is kept
    /// from having all the servers that they may have.
    pub fn pids(&self, each: NonZeroU32) -> u64 {
        let usual = || u64::from(self.servers).saturating_mul(each.get().into());
        self.pids.map_or_else(usual, u64::from)
    }
}

impl QuotaOverride {
    /// The quota that holds: the member's own, else the platform's.
    pub fn over(&self, platform: &Quota) -> Quota {
        Quota {
            servers: self.servers.unwrap_or(platform.servers),
            cpus: self.cpus.unwrap_or(platform.cpus),
            memory: self.memory.unwrap_or(platform.memory),
            pids: self.pids.or(platform.pids),
            disk: self.disk.unwrap_or(platform.disk),
            domains: self.domains.unwrap_or(platform.domains),
            certificates: self.certificates.unwrap_or(platform.certificates),
            custom_domains: self.custom_domains.unwrap_or(platform.custom_domains),
        }
    }
}

/// Known parts of a user's file, even of a refused one: enough to judge other files.
#[derive(Debug, Clone)]
pub(crate) struct UserFile {
    pub(crate) name: UserName,
    pub(crate) keys: Vec<At<SshKey>>,
    pub(crate) passkeys: Vec<At<Passkey>>,
    pub(crate) tokens: Vec<At<ApiToken>>,
    pub(crate) oidc: Vec<At<OidcAccount>>,
    pub(crate) forge_accounts: Vec<At<ForgeAccount>>,
}

choice_values! {
    Role, "a role": "\"admin\" or \"user\"",
    SecondFactor, "a second factor": "\"totp\"",
}

impl UserFile {
    pub(crate) fn read(name: UserName, fields: &mut Fields<'_, '_>) -> (Self, User) {
        let user = User {
            name: name.clone(),
            role: fields.value("role").unwrap_or_default(),
            email: fields.optional_if("email", |email: &String| check_email(email)).map(|found| found.value),
            password_hash: fields.value("password_hash").map(|PasswordHash(hash)| hash),
            ssh_keys: Vec::new(),
            passkeys: Vec::new(),
            oidc: Vec::new(),
            forge_accounts: Vec::new(),
            tokens: Vec::new(),
            second_factor: fields.value("second_factor"),
            quota: QuotaOverride::default(),
        };
        let keys: Vec<At<SshKey>> = fields.list("ssh_keys").unwrap_or_default();
        let ssh_keys = keys.iter().map(|key| key.value.clone()).collect();
        let held: Vec<At<Passkey>> = fields.list("passkeys").unwrap_or_default();
        let passkeys = held.iter().map(|passkey| passkey.value.clone()).collect();
        let accounts: Vec<At<OidcAccount>> = fields.list("oidc").unwrap_or_default();
        let oidc = accounts.iter().map(|account| account.value.clone()).collect();
        let at_forge: Vec<At<ForgeAccount>> = fields.list("forge_accounts").unwrap_or_default();
        let forge_accounts = at_forge.iter().map(|account| account.value.clone()).collect();
        let lines: Vec<At<ApiToken>> = fields.list("tokens").unwrap_or_default();
        let tokens = lines.iter().map(|token| token.value.clone()).collect();
        let quota = fields.table("quota", "`[quota]`", QuotaOverride::read);
        (
            Self { name, keys, passkeys: held, tokens: lines, oidc: accounts, forge_accounts: at_forge },
            User { ssh_keys, passkeys, oidc, forge_accounts, tokens, quota, ..user },
        )
    }
}

impl QuotaOverride {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            servers: fields.value("servers"),
            cpus: fields.value("cpus"),
            memory: fields.optional_if("memory", Bytes::suits_quota).map(|found| found.value),
            pids: fields.value("pids"),
            disk: fields.optional_if("disk", Bytes::suits_quota).map(|found| found.value),
            domains: fields.value("domains"),
            certificates: fields.value("certificates"),
            custom_domains: fields.value("custom_domains"),
        }
    }
}

/// Refuses an address that no mail reaches: it must be bare and have a full domain.
pub fn check_email(email: &str) -> Result<(), Invalid> {
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    match EmailAddress::parse_with_options(email, options) {
        Ok(_) => Ok(()),
        Err(_) => Err(Invalid::new(
            format!("`{}` is not an e-mail address", shown(email)),
            "write it as `ann@example.org`",
        )),
    }
}
