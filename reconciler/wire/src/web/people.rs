//! Questions about people: who signs in, who they are, what they may use.

use std::net::IpAddr;

use berth_schema::name::UserName;
use berth_schema::user::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommitLine, Done, Needs, Page, PlatformCard, Scope, Token, questions};

questions! {
    SignIn, "/sign-in", Anybody => Entered;
    SignOut, "/sign-out", Known => Done;
    SignOutEverywhere, "/sign-out-everywhere", Known => Done;
    Invitation, "/invitation", Anybody => Person;
    Redeem, "/redeem", Anybody => Entered;
    SetPassword, "/set-password", Known => SignedIn;
    Me, "/me", Known => Person, needs Needs::Nothing;
    Invite, "/invite", Admin => Invited;
    Users, "/users", Admin => Page<UserCard>, needs Needs::Scope(Scope::Admin);
    UserRead, "/user", Known => UserSheet, needs Needs::Scope(Scope::Read);
}

/// Signs somebody in by name and password; whoever has a second factor goes on with [`super::SignInCode`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignIn {
    /// Name, as it was typed.
    pub user: String,
    /// Password, as it was typed.
    pub password: Secret,
    /// Source of the attempt, by which attempts are limited.
    pub from: IpAddr,
    /// Browser in a few words, as the person tells it from their others.
    #[serde(default)]
    pub browser: String,
    /// Set for a program: what it gets ends after an hour.
    #[serde(default)]
    pub is_short: bool,
}

/// Text that no log shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Somebody who signed in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignedIn {
    /// Stands for them from now on.
    pub token: Token,
    /// The person.
    pub person: Person,
    /// End of the token, whatever they do.
    pub until: Timestamp,
}

/// Outcome of a good password.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "entered")]
pub enum Entered {
    /// Nothing more is asked.
    SignedIn(Box<SignedIn>),
    /// A code is wanted, too.
    CodeWanted(Half),
}

/// The secret that stands for a good password until the code comes. It is good for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    /// The secret.
    pub half: Secret,
    /// End of it.
    pub until: Timestamp,
}

/// Ends the token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignOut {}

/// Ends every token of the person but this one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignOutEverywhere {}

/// Asks whom an invitation is for. It stays good.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invitation {
    /// The secret part of the link.
    pub invitation: Secret,
    /// Source of the question, by which guesses are limited.
    pub from: IpAddr,
}

/// Uses an invitation up: sets the password by a commit of the person's own, and signs them in. Whoever has a second factor goes
/// on with [`super::SignInCode`]; one whose secret the host has lost is taken away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Redeem {
    /// The secret part of the link.
    pub invitation: Secret,
    /// The new password.
    pub password: Secret,
    /// Source of the attempt.
    pub from: IpAddr,
    /// Browser in a few words.
    #[serde(default)]
    pub browser: String,
}

/// Changes one's own password by a commit, and ends one's other tokens and this one; the answer has a new one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetPassword {
    /// The password so far.
    pub old: Secret,
    /// The new one.
    pub new: Secret,
    /// Source of the attempt.
    pub from: IpAddr,
    /// Browser in a few words.
    #[serde(default)]
    pub browser: String,
}

/// Asks who one is: the first question of every page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Me {}

/// Somebody, and what they have left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Name.
    pub name: UserName,
    /// Role.
    pub role: Role,
    /// Amounts that they use and may use.
    pub quota: Vec<Quota>,
    /// Facts about the platform that every page may need.
    pub platform: PlatformCard,
    /// Scopes of the API token that they asked with; `None` where they signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
}

impl Person {
    /// Returns whether what they asked with may do this: an API token by its scopes, and a sign-in everything. Each scope reads, too.
    pub fn has(&self, scope: Scope) -> bool {
        scope == Scope::Read || self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Returns whether they may do everything.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

/// One amount of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Name of the field: `servers`, `cpus`, `memory`, `disk` or `domains`.
    pub field: String,
    /// Amount in use, in the field's smallest unit: pieces, billionths of a processor, bytes.
    pub used: u64,
    /// Amount allowed, in the same unit.
    pub allowed: u64,
    /// Amount in use, in words: `2 servers`, `1.5 cpus`, `3GiB of memory`.
    pub used_text: String,
    /// Amount allowed, in the same words.
    pub allowed_text: String,
}

/// Makes a link that lets somebody set their password, once and within 72 hours. Links made for them before are dead. Needs a fresh
/// token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invite {
    /// Whom it is for. Their file must be there.
    pub user: UserName,
}

/// An invitation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invited {
    /// The secret part of the link: `https://<panel>/invite/<secret>`.
    pub invitation: Secret,
    /// End of the link.
    pub until: Timestamp,
}

/// Asks for everybody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Users {
    /// Part of a name or an address; empty for all.
    pub search: String,
    /// Page, from 1.
    pub page: u32,
    /// Part of them that is meant.
    #[serde(default)]
    pub of: UsersOf,
}

/// Part of all members, as far as the provider knows them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsersOf {
    /// All of them.
    #[default]
    All,
    /// Those who have an account at the provider and haven't signed in by it for a while.
    Away,
    /// Those who have none.
    Unbound,
}

/// Somebody in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCard {
    /// Name.
    pub name: UserName,
    /// Role.
    pub role: Role,
    /// Address.
    pub email: Option<String>,
    /// Number of servers that they own.
    pub servers: u32,
    /// Number of keys.
    pub keys: u32,
    /// Set if a password opens the panel for them.
    pub has_password: bool,
    /// Set if a code is asked for after it.
    pub has_second_factor: bool,
    /// Number of passkeys.
    pub passkeys: u32,
    /// Number of accounts at the provider.
    #[serde(default)]
    pub accounts: u32,
    /// When they last signed in by the provider; `None` where nobody knows of any time.
    #[serde(default)]
    pub seen: Option<Timestamp>,
    /// Set if they have an account at the provider and haven't signed in by it for the days of `panel.oidc.away`.
    #[serde(default)]
    pub is_away: bool,
}

/// Asks for somebody's file: one's own, or as an admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserRead {
    /// Their name.
    pub name: UserName,
}

/// Somebody's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSheet {
    /// The person.
    pub card: UserCard,
    /// Their public keys, as the file has them.
    pub ssh_keys: Vec<String>,
    /// Values of the file, by field: what a form shows. Never the password's hash.
    pub fields: Vec<super::Field>,
    /// Amounts that they use and may use.
    pub quota: Vec<Quota>,
    /// The commit that made the file what it is.
    pub made_by: Option<CommitLine>,
    /// Number of places where they are signed in.
    pub sessions: u32,
}
