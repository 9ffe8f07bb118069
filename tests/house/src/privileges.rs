//! Privileges that a crate may lack, and the proof that it lacks them.
//!
//! For a library, the proof is that it isn't linked. For what everybody has from std and tokio, clippy is the proof: it
//! refuses the lists in the crate's `clippy.toml`, which the crate's own code can't get around without an `expect` that
//! gives a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use crate::crates::{Workspace, sources_below};

/// A word of the column "can't reach".
#[derive(Debug)]
pub struct Privilege {
    /// The word.
    pub word: &'static str,
    /// Crates that aren't linked, however far away.
    unlinked: &'static [&'static str],
    /// Crates that it doesn't use itself.
    unused: &'static [&'static str],
    /// Types that clippy refuses.
    types: &'static [&'static str],
    /// Functions that clippy refuses.
    methods: &'static [&'static str],
}

const NOTHING: Privilege = Privilege { word: "", unlinked: &[], unused: &[], types: &[], methods: &[] };

/// The words, with their proofs.
pub const PRIVILEGES: &[Privilege] = &[
    Privilege { word: "Docker", unlinked: &["bollard"], ..NOTHING },
    Privilege { word: "git", unlinked: &["git2", "libgit2-sys"], ..NOTHING },
    Privilege { word: "SSH", unlinked: &["russh"], ..NOTHING },
    Privilege { word: "async", unlinked: &["tokio"], ..NOTHING },
    Privilege {
        word: "network",
        unused: &["axum", "bollard", "hyper-rustls", "russh", "socket2", "tokio-rustls"],
        types: &[
            "std::net::TcpListener",
            "std::net::TcpStream",
            "std::net::UdpSocket",
            "tokio::net::TcpListener",
            "tokio::net::TcpSocket",
            "tokio::net::TcpStream",
            "tokio::net::UdpSocket",
        ],
        methods: &["std::net::ToSocketAddrs::to_socket_addrs", "tokio::net::lookup_host"],
        ..NOTHING
    },
    Privilege {
        word: "sockets",
        unused: &["netlink-sys", "rustix"],
        types: &[
            "std::os::unix::net::UnixDatagram",
            "std::os::unix::net::UnixListener",
            "std::os::unix::net::UnixStream",
            "tokio::net::UnixDatagram",
            "tokio::net::UnixListener",
            "tokio::net::UnixStream",
        ],
        ..NOTHING
    },
    Privilege {
        word: "ports",
        types: &["std::net::TcpListener", "tokio::net::TcpListener"],
        methods: &["tokio::net::TcpSocket::listen"],
        ..NOTHING
    },
    Privilege {
        word: "files",
        unused: &["notify", "rustix", "tar", "tempfile"],
        types: &["std::fs::DirBuilder", "std::fs::File", "std::fs::OpenOptions"],
        methods: &[
            "std::fs::canonicalize",
            "std::fs::copy",
            "std::fs::create_dir",
            "std::fs::create_dir_all",
            "std::fs::exists",
            "std::fs::hard_link",
            "std::fs::metadata",
            "std::fs::read",
            "std::fs::read_dir",
            "std::fs::read_link",
            "std::fs::read_to_string",
            "std::fs::remove_dir",
            "std::fs::remove_dir_all",
            "std::fs::remove_file",
            "std::fs::rename",
            "std::fs::set_permissions",
            "std::fs::symlink_metadata",
            "std::fs::write",
            "std::os::unix::fs::chown",
            "std::os::unix::fs::symlink",
            "std::path::Path::canonicalize",
            "std::path::Path::exists",
            "std::path::Path::is_dir",
            "std::path::Path::is_file",
            "std::path::Path::is_symlink",
            "std::path::Path::metadata",
            "std::path::Path::read_dir",
            "std::path::Path::read_link",
            "std::path::Path::symlink_metadata",
            "std::path::Path::try_exists",
        ],
        ..NOTHING
    },
    Privilege {
        word: "clock",
        methods: &[
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
            "std::thread::sleep",
            "std::time::Instant::elapsed",
            "std::time::Instant::now",
            "std::time::SystemTime::elapsed",
            "std::time::SystemTime::now",
        ],
        ..NOTHING
    },
    Privilege { word: "programs", types: &["std::process::Command", "tokio::process::Command"], ..NOTHING },
];

/// Attribute that makes clippy hold a crate's own code, and not its tests, to the lists. Everywhere else the lists are
/// empty.
const HELD: &str = "#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]";

/// Finds a privilege by its word.
pub fn privilege(word: &str) -> Option<&'static Privilege> {
    PRIVILEGES.iter().find(|privilege| privilege.word == word)
}

impl Privilege {
    /// Returns what is missing in the proof that a crate doesn't have this privilege.
    pub fn gaps(&self, workspace: &Workspace, name: &str) -> Result<Vec<String>> {
        let member = workspace.members.get(name).with_context(|| format!("no crate {name}"))?;
        let mut gaps: Vec<String> = Vec::new();
        for linked in self.unlinked.iter().filter(|linked| member.reaches.contains(**linked)) {
            gaps.push(format!("{name} can reach {}: {linked} is linked into it", self.word));
        }
        for used in self.unused.iter().filter(|used| member.uses.contains(**used)) {
            gaps.push(format!("{name} can reach {}: it depends on {used}", self.word));
        }
        if self.types.is_empty() && self.methods.is_empty() {
            return Ok(gaps);
        }
        let folder = workspace.root.join(&member.folder);
        let settings = settings(&folder)?;
        for (key, refused) in [("disallowed-types", self.types), ("disallowed-methods", self.methods)] {
            let listed = paths(&settings, key);
            let missing = refused.iter().filter(|path| !listed.contains(**path));
            gaps.extend(missing.map(|path| {
                format!(
                    "{name} can reach {}: {}/clippy.toml doesn't list {path} in {key}",
                    self.word, member.folder
                )
            }));
        }
        for root in &member.roots {
            if !fs::read_to_string(root)?.lines().any(|line| line == HELD) {
                gaps.push(format!("{name}: {} doesn't say {HELD}", root.display()));
            }
        }
        Ok(gaps)
    }
}

/// Returns the settings of the root that a crate's own `clippy.toml` doesn't repeat. Clippy reads only the nearest file.
pub fn forgotten_settings(workspace: &Workspace, folder: &str) -> Result<Vec<String>> {
    let (root, own) = (settings(&workspace.root)?, settings(&workspace.root.join(folder))?);
    let own_file = workspace.root.join(folder).join("clippy.toml").exists();
    let forgotten = root.iter().filter(|(key, value)| own_file && own.get(*key) != Some(*value));
    Ok(forgotten.map(|(key, value)| format!("{folder}/clippy.toml doesn't say {key} = {value}")).collect())
}

/// Returns the files of a crate's own code that say why they get around the lists.
pub fn exceptions(workspace: &Workspace, folder: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for path in sources_below(&workspace.root.join(folder).join("src"))? {
        let text = fs::read_to_string(&path)?;
        let excepts = |line: &str| {
            let attribute = line.starts_with('#') || line.starts_with("clippy::disallowed_");
            attribute && line.contains("clippy::disallowed_") && line != HELD
        };
        if text.lines().any(|line| excepts(line.trim_start())) {
            found.insert(path.strip_prefix(&workspace.root)?.display().to_string());
        }
    }
    Ok(found)
}

/// Returns who may use a crate directly, as `deny.toml` says; nothing where it doesn't restrict it.
pub fn wrappers(workspace: &Workspace, name: &str) -> Result<Option<BTreeSet<String>>> {
    let deny = read(&workspace.root.join("deny.toml"))?;
    let banned = deny.get("bans").and_then(|bans| bans.get("deny")).and_then(Value::as_array);
    let entry =
        banned.into_iter().flatten().find(|entry| entry.get("crate").and_then(Value::as_str) == Some(name));
    let wrappers = entry.and_then(|entry| entry.get("wrappers")).and_then(Value::as_array);
    Ok(wrappers.map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
}

fn settings(folder: &Path) -> Result<Table> {
    let path = folder.join("clippy.toml");
    if path.exists() { read(&path) } else { Ok(Table::new()) }
}

fn read(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("cannot parse {}", path.display()))
}

/// Returns the paths of a list, whose entries are paths or tables with one.
fn paths<'a>(settings: &'a Table, key: &str) -> BTreeSet<&'a str> {
    let entries = settings.get(key).and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| entry.as_str().or_else(|| entry.get("path")?.as_str())).collect()
}
