//! The routes file: all that the SSH router may know, and all it knows.
//!
//! The reconciler renders it, the router reads it. It holds nothing that a login doesn't need: members with their hashes
//! and keys, servers with the address and the pinned host key of their own sshd. This module owns what a login names and
//! who may enter a server, for the router and for whoever tells another router. The router owns how somebody proves who
//! they are (`decide`).
//!
//! ```toml
//! version = 1
//! upstream_key = "/var/lib/berth/ssh/upstream"
//!
//! [users.ann]
//! admin = false
//! password_hash = "$2b$12$…"
//! keys = ["ssh-ed25519 AAAA… ann@laptop"]
//!
//! [servers.shop]
//! id = 1
//! owner = "ann"
//! members = []
//! host = "172.19.2.11"
//! port = 22
//! user = "root"
//! host_key = "ssh-ed25519 AAAA…"
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fields::{At, Fields};
use crate::finding::{Collector, FINDINGS_MAX, Finding};
use crate::invalid::Invalid;
use crate::name::{ServerId, ServerName, UserName};
use crate::password::{PasswordHash, RoutedHash};
use crate::ssh_key::SshKey;
use crate::text::shown;
use crate::value::{integer, text_values};

/// The only version of the file that there is. A router refuses another, and keeps what it has.
pub const VERSION: u32 = 1;

/// The port of a server's own sshd.
pub const SERVER_PORT: u16 = 22;

/// Unix user as which a router logs in to a server.
pub const SERVER_USER: &str = "root";

/// Returns whether somebody may log in to a server: its owner, its members and every admin may.
pub fn may_enter(user: &UserName, is_admin: bool, owner: &UserName, members: &[UserName]) -> bool {
    is_admin || user == owner || members.contains(user)
}

/// The number in a login `server<id>`. `server01` is nobody's.
pub fn numbered(login: &str) -> Option<ServerId> {
    let id = ServerId(login.strip_prefix("server")?.parse().ok()?);
    (login_of(id) == login).then_some(id)
}

/// The routes: every reference resolves, every id and name is there once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Routes {
    version: u32,
    upstream_key: PathBuf,
    users: BTreeMap<UserName, RouteUser>,
    servers: BTreeMap<ServerName, RouteServer>,
    /// Server whose login each `server<id>` is.
    #[serde(skip)]
    by_id: BTreeMap<ServerId, ServerName>,
    /// Servers whose name is the login of this number, which isn't theirs.
    #[serde(skip)]
    misnamed: BTreeMap<ServerId, ServerName>,
}

/// A member, as far as a login needs one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteUser {
    /// Opens every server to them.
    pub admin: bool,
    /// bcrypt or argon2id; without one only keys open. See [`RouteUser::checkable_hash`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// The keys that open.
    pub keys: Vec<SshKey>,
}

impl RouteUser {
    /// The hash that passwords are checked against. None where there is none, and where a check costs more than a state
    /// repo may ask for: such a hash opens nothing.
    pub fn checkable_hash(&self) -> Option<&str> {
        self.password_hash.as_deref().filter(|hash| hash.parse::<PasswordHash>().is_ok())
    }
}

/// A server, as far as a login needs one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteServer {
    /// The login `server<id>`.
    pub id: ServerId,
    /// Member who answers for it.
    pub owner: UserName,
    /// Members who may log in too.
    pub members: Vec<UserName>,
    /// Address of its sshd.
    pub host: Host,
    /// The port of its sshd.
    pub port: u16,
    /// Unix user as which the router logs in.
    pub user: UnixUser,
    /// The only key that its sshd may show.
    pub host_key: SshKey,
}

/// An IP address or a host name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Host(Arc<str>);

/// The name of a Unix user (`useradd`'s rule).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UnixUser(Arc<str>);

impl Routes {
    /// Routes without users and servers.
    pub fn new(upstream_key: PathBuf) -> Self {
        Self {
            version: VERSION,
            upstream_key,
            users: BTreeMap::new(),
            servers: BTreeMap::new(),
            by_id: BTreeMap::new(),
            misnamed: BTreeMap::new(),
        }
    }

    /// Adds a member, in place of one of that name.
    pub fn with_user(mut self, name: UserName, user: RouteUser) -> Self {
        self.users.insert(name, user);
        self
    }

    /// Adds a server; refused when its id or name is taken, or when somebody it names isn't there.
    pub fn with_server(mut self, name: ServerName, server: RouteServer) -> Result<Self, Invalid> {
        self.add(name, server)?;
        Ok(self)
    }

    fn add(&mut self, name: ServerName, server: RouteServer) -> Result<(), Invalid> {
        self.check(&name, &server)?;
        match self.servers.entry(name) {
            Entry::Vacant(vacant) => {
                self.by_id.insert(server.id, vacant.key().clone());
                if let Some(other) = login_taken(vacant.key(), server.id) {
                    self.misnamed.insert(other, vacant.key().clone());
                }
                vacant.insert(server);
                Ok(())
            }
            Entry::Occupied(taken) => {
                Err(Invalid::new(format!("`{}` is there twice", taken.key()), "keep one of the two"))
            }
        }
    }

    /// The same routes with `hidden` in place of every password hash: for eyes, not for a router.
    pub fn without_hashes(mut self, hidden: &str) -> Self {
        for user in self.users.values_mut() {
            user.password_hash = user.password_hash.take().map(|_| hidden.to_owned());
        }
        self
    }

    /// The private key that the router logs in to servers with.
    pub fn upstream_key(&self) -> &Path {
        &self.upstream_key
    }

    /// The member of that name.
    pub fn user(&self, name: &str) -> Option<(&UserName, &RouteUser)> {
        self.users.get_key_value(&name.parse().ok()?)
    }

    /// The server that a login names, by `server<id>` or by its name.
    pub fn server(&self, login: &str) -> Option<(&ServerName, &RouteServer)> {
        let by_name = || self.servers.get_key_value(&login.parse().ok()?);
        by_name().or_else(|| self.server_of(numbered(login)?))
    }

    /// The server of that number.
    pub fn server_of(&self, id: ServerId) -> Option<(&ServerName, &RouteServer)> {
        self.servers.get_key_value(self.by_id.get(&id)?)
    }

    /// Everybody who may enter a server, by name.
    pub fn entitled<'a>(
        &'a self,
        server: &'a RouteServer,
    ) -> impl Iterator<Item = (&'a UserName, &'a RouteUser)> {
        self.users.iter().filter(|(name, user)| may_enter(name, user.admin, &server.owner, &server.members))
    }

    /// The members, by name.
    pub fn users(&self) -> impl Iterator<Item = (&UserName, &RouteUser)> {
        self.users.iter()
    }

    /// The servers, by name.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = (&ServerName, &RouteServer)> {
        self.servers.iter()
    }

    /// The file as text. The same routes give the same bytes.
    pub fn render(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Reads the file. `Err` holds every finding; none repeats a hash or a key.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<Finding>> {
        let path: Arc<str> = path.into();
        let mut found = Collector::new(&path, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors.iter().take(FINDINGS_MAX) {
            // The parser's own words may repeat a piece of the file.
            let at = error.span().map_or(0, |span| span.start);
            found.error(Some(at), Invalid::new("this is not TOML", "render the file again"));
        }
        let routes = if errors.is_empty() { read(table.get_ref(), &mut found) } else { None };
        match (routes, found.has_errors()) {
            (Some(routes), false) => Ok(routes),
            _ => Err(found.finish().0),
        }
    }

    fn check(&self, name: &ServerName, server: &RouteServer) -> Result<(), Invalid> {
        let taken =
            |other: &str| Invalid::new(format!("`{name}` takes the login of `{other}`"), "rename one");
        if name.as_str() == "git" {
            return Err(Invalid::new("`git` is the login for the state repo", "rename the server"));
        }
        let holder = self.by_id.get(&server.id).or_else(|| self.misnamed.get(&server.id));
        let holder = holder.or_else(|| self.by_id.get(&login_taken(name, server.id)?));
        if let Some(other) = holder {
            return Err(taken(other.as_str()));
        }
        let unknown = std::iter::once(&server.owner).chain(&server.members);
        match unknown.filter(|user| !self.users.contains_key(user)).min() {
            Some(user) => {
                Err(Invalid::new(format!("`{name}` names `{user}`, who isn't in the file"), "add the user"))
            }
            None => Ok(()),
        }
    }
}

/// Returns the id whose login a name is, if that isn't `own`.
fn login_taken(name: &ServerName, own: ServerId) -> Option<ServerId> {
    numbered(name.as_str()).filter(|id| *id != own)
}

/// The login by number.
fn login_of(id: ServerId) -> String {
    format!("server{id}")
}

fn read<'a>(table: &'a DeTable<'a>, found: &mut Collector<'a>) -> Option<Routes> {
    for (key, _) in table {
        if !["version", "upstream_key", "users", "servers"].contains(&key.get_ref().as_ref()) {
            let message = format!("`{}` is not a field of a routes file", shown(key.get_ref()));
            found.error(Some(key.span().start), Invalid::new(message, "remove it"));
        }
    }
    let version = table.get("version").and_then(|value| integer(value.get_ref()));
    if !matches!(version, Some(Ok(version)) if version == i64::from(VERSION)) {
        let message = format!("this is not a routes file of version {VERSION}");
        found.error(
            table.get("version").map(at),
            Invalid::new(message, "let router and reconciler be of one release"),
        );
        // Another version may mean another thing by every other field.
        return None;
    }
    let key = table.get("upstream_key").and_then(|value| value.get_ref().as_str()).map(PathBuf::from);
    if !key.as_ref().is_some_and(|path| path.is_absolute()) {
        let invalid =
            Invalid::new("`upstream_key` is not an absolute path", "write the path of the router's key");
        found.error(table.get("upstream_key").map(at), invalid);
    }
    let mut routes = Routes::new(key.unwrap_or_default());
    for (name, user, _) in entries::<UserName>(table, "users", found) {
        let user = Fields::read(Some(user), "a user", found, read_user);
        routes.users.insert(name, user);
    }
    for (name, server, start) in entries::<ServerName>(table, "servers", found) {
        let Some(server) = Fields::read(Some(server), "a server", found, read_server) else { continue };
        if let Err(invalid) = routes.add(name, server) {
            found.error(Some(start), invalid);
        }
    }
    Some(routes)
}

fn at(value: &Spanned<DeValue<'_>>) -> usize {
    value.span().start
}

/// The tables below `[key]` whose names are good, with where each begins.
fn entries<'a, N: FromStr<Err = Invalid>>(
    table: &'a DeTable<'a>,
    key: &str,
    found: &mut Collector<'_>,
) -> Vec<(N, &'a DeTable<'a>, usize)> {
    let Some(value) = table.get(key) else { return Vec::new() };
    let Some(below) = value.get_ref().as_table() else {
        found.error(Some(at(value)), Invalid::new(format!("`{key}` is not a table"), "write `[…]` tables"));
        return Vec::new();
    };
    let mut good = Vec::new();
    for (name, value) in below {
        let start = name.span().start;
        match (name.get_ref().parse::<N>(), value.get_ref().as_table()) {
            (Ok(name), Some(table)) => good.push((name, table, start)),
            (Err(invalid), _) => found.error(Some(start), invalid),
            (_, None) => found.error(Some(start), Invalid::new("this is not a table", "write its fields")),
        }
    }
    good
}

fn read_user(fields: &mut Fields<'_, '_>) -> RouteUser {
    let admin = fields.value("admin").unwrap_or_default();
    let password_hash = fields.value("password_hash").map(|RoutedHash(hash)| hash);
    let keys: Vec<At<SshKey>> = fields.list("keys").unwrap_or_default();
    RouteUser { admin, password_hash, keys: keys.into_iter().map(|key| key.value).collect() }
}

fn read_server(fields: &mut Fields<'_, '_>) -> Option<RouteServer> {
    let id = fields.required("id");
    let owner = fields.required("owner");
    let members: Vec<At<UserName>> = fields.list("members").unwrap_or_default();
    let host = fields.required("host");
    let port = fields.required::<Port>("port");
    let user = fields.required("user");
    let host_key = fields.required("host_key");
    Some(RouteServer {
        id: id?.value,
        owner: owner?.value,
        members: members.into_iter().map(|member| member.value).collect(),
        host: host?.value,
        port: port?.value.0,
        user: user?.value,
        host_key: host_key?.value,
    })
}

/// A TCP port that something can listen on.
struct Port(u16);

impl crate::value::Value for Port {
    const WANTED: &'static str = "a whole number from 1 to 65535, without quotes";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(integer(value)?.and_then(|number| {
            let port = u16::try_from(number).ok().filter(|port| *port > 0);
            port.map(Self).ok_or_else(|| Invalid::new(format!("{number} is not a port"), "write 1 to 65535"))
        }))
    }
}

macro_rules! checked_text {
    ($type:ident, $good:expr, $what:literal, $hint:literal) => {
        impl $type {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = Invalid;
            fn from_str(value: &str) -> Result<Self, Invalid> {
                let good: fn(&str) -> bool = $good;
                match good(value) {
                    true => Ok(Self(value.into())),
                    false => Err(Invalid::new(format!("`{}` is not {}", shown(value), $what), $hint)),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(Host, is_host, "a host", "write an IP address or a host name");
checked_text!(UnixUser, is_unix_user, "a user's name", "write a name such as `root`");

impl From<std::net::Ipv4Addr> for Host {
    fn from(address: std::net::Ipv4Addr) -> Self {
        Self(address.to_string().into())
    }
}

fn is_host(value: &str) -> bool {
    let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    value.parse::<std::net::IpAddr>().is_ok()
        || (value.len() <= 253 && value.chars().all(name) && value.starts_with(edge) && value.ends_with(edge))
}

fn is_unix_user(value: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    value.len() <= 32 && value.starts_with(first) && value.chars().all(rest)
}

text_values! {
    Host: "an IP address or a host name in quotes",
    UnixUser: "a user's name in quotes, such as \"root\"",
}
