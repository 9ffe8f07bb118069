//! Questions that read: servers, domains, settings, history. Each answers only what the person may read.

use berth_schema::Revision;
use berth_schema::domain::{DomainAccess, Tls};
use berth_schema::name::{Fqdn, ServerId, ServerName, UserName};
use berth_schema::server::PowerState;
use berth_schema::tool::Tool;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Field, FileDiff, Needs, Object, Scope, questions};

questions! {
    Servers, "/servers", Known => Page<ServerCard>, needs READ;
    ServerRead, "/server", Known => ServerSheet, needs READ;
    Domains, "/domains", Known => Page<DomainCard>, needs READ;
    DomainRead, "/domain", Known => DomainSheet, needs READ;
    Blank, "/blank", Known => Vec<Field>, needs READ;
    History, "/history", Known => Page<CommitLine>, needs READ;
    CommitRead, "/commit-read", Known => CommitSheet, needs READ;
    PlatformRead, "/platform", Admin => PlatformSheet, needs Needs::Scope(Scope::Admin);
}

const READ: Needs = Needs::Scope(Scope::Read);

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// Rows of this page, 50 at most.
    pub rows: Vec<T>,
    /// Number of this page, from 1.
    pub page: u32,
    /// Number of pages, 1 at least.
    pub pages: u32,
    /// Number of rows in all.
    pub all: u32,
}

/// Asks for servers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Servers {
    /// Part of a server's or an owner's name, or an id; empty for all.
    pub search: String,
    /// Servers of everybody, which only admins see. Otherwise those that the person owns or is a member of.
    pub everybody: bool,
    /// Page, from 1.
    pub page: u32,
}

/// A server in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCard {
    /// Its number.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// Its owner.
    pub owner: UserName,
    /// The members besides.
    pub members: Vec<UserName>,
    /// The state repo's word.
    pub wanted: PowerState,
    /// Billionths of a processor that hold for it.
    pub nano_cpus: u64,
    /// Bytes of memory that hold for it.
    pub memory: u64,
    /// Processes and threads that hold for it.
    pub pids: u32,
    /// Bytes of disk that count for it.
    pub disk: u64,
    /// The domains that it answers.
    pub domains: Vec<DomainCard>,
    /// Line that logs in: `ssh -p 10022 shop@example.org`.
    pub ssh: String,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainCard {
    /// Its name.
    pub fqdn: Fqdn,
    /// Server that answers.
    pub server: ServerName,
    /// Port in the server.
    pub port: u16,
    /// Source of its certificate.
    pub tls: Tls,
    /// People who may open it.
    pub access: DomainAccess,
    /// Set if Cloudflare stands in front.
    pub cloudflare: bool,
    /// Address that visitors type, with its port where it isn't the usual one.
    pub url: String,
}

/// Asks for one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerRead {
    /// Its number.
    pub id: ServerId,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSheet {
    /// Its entry in a list.
    pub card: ServerCard,
    /// Values of its file, by field: what a form shows.
    pub fields: Vec<Field>,
    /// Its file, as it is written.
    pub text: String,
    /// Set if the person may change its file without asking anybody: its owner, or an admin.
    pub may_edit: bool,
    /// The commit that made the file what it is.
    pub made_by: Option<CommitLine>,
    /// The pages that it has of its own, for those who may log in to it.
    pub tools: Vec<ToolCard>,
    /// The revision that all of this was read at.
    pub at: Revision,
}

/// A server's own page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCard {
    /// The tool.
    pub tool: Tool,
    /// Address at which it opens.
    pub url: String,
}

/// Asks for domains.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Domains {
    /// Part of a domain's or a server's name; empty for all.
    pub search: String,
    /// Domains of everybody, which only admins see. Otherwise those of the servers that the person owns or is a member of.
    pub everybody: bool,
    /// Page, from 1.
    pub page: u32,
}

/// Asks for one domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainRead {
    /// Its name.
    pub fqdn: Fqdn,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainSheet {
    /// Its entry in a list.
    pub card: DomainCard,
    /// Number of the server that answers.
    pub server: ServerId,
    /// Values of its file, by field: what a form shows.
    pub fields: Vec<Field>,
    /// Its file, as it is written.
    pub text: String,
    /// Set if the person may change its file without asking anybody.
    pub may_edit: bool,
    /// The commit that made the file what it is.
    pub made_by: Option<CommitLine>,
}

/// Asks for the fields of a file that isn't there yet: each one unset, with the default that would hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Blank {
    /// An object of that kind. Its name doesn't matter.
    pub of: Object,
}

/// A commit, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitLine {
    /// The commit.
    pub revision: Revision,
    /// Author, as the commit says.
    pub author: String,
    /// Time of it.
    pub at: Timestamp,
    /// First line of its message.
    pub summary: String,
    /// Door that it came through, where its message says so: `panel`, or `ssh` for the lobby.
    pub door: Option<String>,
    /// The paths that it changed, as far as the person may read them.
    pub paths: Vec<String>,
    /// Outcome of it, in a line, where a pass has told.
    pub outcome: Option<String>,
}

/// Asks for commits on `main`, the newest first: those of one object, or all that touch what the person may read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    /// The object; `None` for all.
    pub of: Option<Object>,
    /// Page, from 1.
    pub page: u32,
}

/// Asks for one commit on `main` that touches what the person may read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommitRead {
    /// The commit.
    pub revision: Revision,
    /// A revision that the reconciler has worked towards: it may be a later one, which holds the commit.
    #[serde(default)]
    pub attempted: Option<Revision>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitSheet {
    /// Its entry in a list.
    pub line: CommitLine,
    /// The files before and after, as far as the person may read them.
    pub diffs: Vec<FileDiff>,
    /// Set if it changes nothing but what the person may change, so that a revert is theirs to ask for.
    pub may_revert: bool,
    /// Set if the revision that was attempted is a later one of `main`.
    #[serde(default)]
    pub is_overtaken: bool,
}

/// Facts about the platform that every page may need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformCard {
    /// Domain below which every member may use names.
    pub domain: Fqdn,
    /// Prefix of the names of its containers.
    pub prefix: String,
    /// Days for which the data of a removed server is kept.
    pub kept_days: u32,
    /// Address of the forge where changes are made, where one hosts the state repo.
    pub forge: Option<String>,
    /// Set if a form's change becomes a pull request there; otherwise the forms only show where there is a forge.
    #[serde(default)]
    pub opens_pulls: bool,
    /// Images that a new server may name without asking, the platform's default first.
    pub image: String,
    /// Name of the host of the OpenID provider, where people sign in by one.
    #[serde(default)]
    pub provider: Option<String>,
}

/// Asks for `platform.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlatformRead {}

/// `platform.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformSheet {
    /// Its text.
    pub text: String,
    /// The revision that it was read at.
    pub at: Revision,
    /// The commit that made it what it is.
    pub made_by: Option<CommitLine>,
}
