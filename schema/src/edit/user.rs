//! Edits of a user's file.

use std::sync::Arc;

use toml_edit::{DocumentMut, Value};

use crate::edit::document::put_list;
use crate::edit::list::Layout;
use crate::edit::{Edit, EditError, bytes, create, edit, processors, put_or_unset};
use crate::forge_account::ForgeAccount;
use crate::name::UserName;
use crate::parse::{Content, Parsed};
use crate::quantity::{Bytes, Cpus};
use crate::user::{ApiToken, OidcAccount, Passkey, Role, SecondFactor, SshKey, User};

/// A change of a user's file. `None` takes the field out, so that the default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEdit {
    /// `role`
    Role(Option<Role>),
    /// `email`
    Email(Option<String>),
    /// `password_hash`: a hash, never a password.
    PasswordHash(Option<String>),
    /// `ssh_keys`, all of them; an empty list takes the field out.
    SshKeys(Vec<SshKey>),
    /// `passkeys`, all of them; an empty list takes the field out.
    Passkeys(Vec<Passkey>),
    /// `oidc`, all of them; an empty list takes the field out.
    Oidc(Vec<OidcAccount>),
    /// `forge_accounts`, all of them; an empty list takes the field out.
    ForgeAccounts(Vec<ForgeAccount>),
    /// `tokens`, all of them; an empty list takes the field out.
    Tokens(Vec<ApiToken>),
    /// `second_factor`
    SecondFactor(Option<SecondFactor>),
    /// A field of `[quota]`.
    Quota(QuotaEdit),
}

/// A change in a user's `[quota]`. `None` takes the field out, so that the platform's holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaEdit {
    /// `servers`
    Servers(Option<u32>),
    /// `cpus`
    Cpus(Option<Cpus>),
    /// `memory`
    Memory(Option<Bytes>),
    /// `pids`
    Pids(Option<u32>),
    /// `disk`
    Disk(Option<Bytes>),
    /// `domains`
    Domains(Option<u32>),
    /// `certificates`
    Certificates(Option<u32>),
    /// `custom_domains`
    CustomDomains(Option<bool>),
}

/// Edits the text of a user's file.
pub fn user(name: &UserName, text: &str, edits: &[UserEdit]) -> Result<String, EditError> {
    edit(&format!("users/{name}.toml"), text, edits)
}

/// The text of a new user's file.
pub fn new_user(user: &User) -> Result<String, EditError> {
    let quota = &user.quota;
    let edits = [
        UserEdit::Role((user.role != Role::default()).then_some(user.role)),
        UserEdit::Email(user.email.clone()),
        UserEdit::PasswordHash(user.password_hash.clone()),
        UserEdit::SshKeys(user.ssh_keys.clone()),
        UserEdit::Passkeys(user.passkeys.clone()),
        UserEdit::Oidc(user.oidc.clone()),
        UserEdit::ForgeAccounts(user.forge_accounts.clone()),
        UserEdit::Tokens(user.tokens.clone()),
        UserEdit::SecondFactor(user.second_factor),
        UserEdit::Quota(QuotaEdit::Servers(quota.servers)),
        UserEdit::Quota(QuotaEdit::Cpus(quota.cpus)),
        UserEdit::Quota(QuotaEdit::Memory(quota.memory)),
        UserEdit::Quota(QuotaEdit::Pids(quota.pids)),
        UserEdit::Quota(QuotaEdit::Disk(quota.disk)),
        UserEdit::Quota(QuotaEdit::Domains(quota.domains)),
        UserEdit::Quota(QuotaEdit::Certificates(quota.certificates)),
        UserEdit::Quota(QuotaEdit::CustomDomains(quota.custom_domains)),
    ];
    create::<UserEdit>(&format!("users/{}.toml", user.name), DocumentMut::new(), &edits, user)
}

impl Edit for UserEdit {
    type Of = User;

    fn read(parsed: &Parsed) -> Option<&Arc<User>> {
        match &parsed.content {
            Content::User(_, user) => user.as_ref(),
            _ => None,
        }
    }

    fn apply(&self, user: &mut User) {
        match self.clone() {
            Self::Role(role) => user.role = role.unwrap_or_default(),
            Self::Email(email) => user.email = email,
            Self::PasswordHash(hash) => user.password_hash = hash,
            Self::SshKeys(keys) => user.ssh_keys = keys,
            Self::Passkeys(passkeys) => user.passkeys = passkeys,
            Self::Oidc(accounts) => user.oidc = accounts,
            Self::ForgeAccounts(accounts) => user.forge_accounts = accounts,
            Self::Tokens(tokens) => user.tokens = tokens,
            Self::SecondFactor(factor) => user.second_factor = factor,
            Self::Quota(QuotaEdit::Servers(servers)) => user.quota.servers = servers,
            Self::Quota(QuotaEdit::Cpus(cpus)) => user.quota.cpus = cpus,
            Self::Quota(QuotaEdit::Memory(memory)) => user.quota.memory = memory,
            Self::Quota(QuotaEdit::Pids(pids)) => user.quota.pids = pids,
            Self::Quota(QuotaEdit::Disk(disk)) => user.quota.disk = disk,
            Self::Quota(QuotaEdit::Domains(domains)) => user.quota.domains = domains,
            Self::Quota(QuotaEdit::Certificates(certificates)) => user.quota.certificates = certificates,
            Self::Quota(QuotaEdit::CustomDomains(allowed)) => user.quota.custom_domains = allowed,
        }
    }

    fn write(&self, document: &mut DocumentMut) {
        match self {
            Self::Role(role) => put_or_unset(
                document,
                None,
                "role",
                role.map(|role| match role {
                    Role::Admin => "admin".into(),
                    Role::User => "user".into(),
                }),
            ),
            Self::Email(email) => put_or_unset(document, None, "email", email.as_deref().map(Value::from)),
            Self::PasswordHash(hash) => {
                put_or_unset(document, None, "password_hash", hash.as_deref().map(Value::from));
            }
            Self::SshKeys(keys) => {
                let keys: Vec<&str> = keys.iter().map(SshKey::as_str).collect();
                let normal =
                    |key: &str| key.parse::<SshKey>().map_or_else(|_| key.to_owned(), |key| key.to_string());
                put_list(document, "ssh_keys", &keys, Layout::LineEach, normal);
            }
            Self::Passkeys(passkeys) => {
                let lines: Vec<&str> = passkeys.iter().map(Passkey::as_str).collect();
                put_list(document, "passkeys", &lines, Layout::LineEach, str::to_owned);
            }
            Self::Oidc(accounts) => {
                let lines: Vec<&str> = accounts.iter().map(OidcAccount::as_str).collect();
                put_list(document, "oidc", &lines, Layout::LineEach, str::to_owned);
            }
            Self::ForgeAccounts(accounts) => {
                let lines: Vec<&str> = accounts.iter().map(ForgeAccount::as_str).collect();
                put_list(document, "forge_accounts", &lines, Layout::LineEach, str::to_ascii_lowercase);
            }
            Self::Tokens(tokens) => {
                let lines: Vec<&str> = tokens.iter().map(ApiToken::as_str).collect();
                put_list(document, "tokens", &lines, Layout::LineEach, str::to_owned);
            }
            Self::SecondFactor(factor) => put_or_unset(
                document,
                None,
                "second_factor",
                factor.map(|factor| match factor {
                    SecondFactor::Totp => "totp".into(),
                }),
            ),
            Self::Quota(edit) => {
                let (field, value) = match edit {
                    QuotaEdit::Servers(servers) => {
                        ("servers", servers.map(|servers| i64::from(servers).into()))
                    }
                    QuotaEdit::Cpus(cpus) => ("cpus", cpus.map(processors)),
                    QuotaEdit::Memory(memory) => ("memory", memory.map(bytes)),
                    QuotaEdit::Pids(pids) => ("pids", pids.map(|pids| i64::from(pids).into())),
                    QuotaEdit::Disk(disk) => ("disk", disk.map(bytes)),
                    QuotaEdit::Domains(domains) => {
                        ("domains", domains.map(|domains| i64::from(domains).into()))
                    }
                    QuotaEdit::Certificates(certificates) => {
                        ("certificates", certificates.map(|certificates| i64::from(certificates).into()))
                    }
                    QuotaEdit::CustomDomains(allowed) => ("custom_domains", allowed.map(Value::from)),
                };
                put_or_unset(document, Some("quota"), field, value);
            }
        }
    }

    fn is_unset(&self) -> bool {
        match self {
            Self::Role(role) => role.is_none(),
            Self::Email(text) | Self::PasswordHash(text) => text.is_none(),
            Self::SshKeys(keys) => keys.is_empty(),
            Self::Passkeys(passkeys) => passkeys.is_empty(),
            Self::Oidc(accounts) => accounts.is_empty(),
            Self::ForgeAccounts(accounts) => accounts.is_empty(),
            Self::Tokens(tokens) => tokens.is_empty(),
            Self::SecondFactor(factor) => factor.is_none(),
            Self::Quota(
                QuotaEdit::Servers(number)
                | QuotaEdit::Pids(number)
                | QuotaEdit::Domains(number)
                | QuotaEdit::Certificates(number),
            ) => number.is_none(),
            Self::Quota(QuotaEdit::Cpus(cpus)) => cpus.is_none(),
            Self::Quota(QuotaEdit::Memory(amount) | QuotaEdit::Disk(amount)) => amount.is_none(),
            Self::Quota(QuotaEdit::CustomDomains(allowed)) => allowed.is_none(),
        }
    }
}
