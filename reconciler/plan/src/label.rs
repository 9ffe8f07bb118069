//! Labels: how the platform knows its own objects again, and the proof of ownership without which nothing is touched.

use std::collections::BTreeMap;
use std::collections::HashMap;

use berth_schema::name::{Prefix, ServerId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The platform that an object belongs to; the value is the platform's prefix.
pub const PLATFORM: &str = "berth.platform";
/// The kind of an object: one of the `KIND_*` values.
pub const KIND: &str = "berth.kind";
/// The number of the server that an object belongs to.
pub const SERVER: &str = "berth.server";
/// The server's name when the object was made.
pub const NAME: &str = "berth.name";
/// The server's owner when the object was made.
pub const OWNER: &str = "berth.owner";
/// The image reference that a container was made of.
pub const IMAGE: &str = "berth.image";
/// The fingerprint of the specification that an object was made from.
pub const SPEC: &str = "berth.spec";
/// The server's `reset` when its container was made. Absent for 0, and on containers from before there was one.
pub const RESET: &str = "berth.reset";
/// The time when a server was removed from the state repo (RFC 3339).
pub const REMOVED_AT: &str = "berth.removed-at";
/// The revision that removed a server.
pub const REVISION: &str = "berth.revision";

/// A virtual server's container.
pub const KIND_SERVER: &str = "server";
/// A container of the platform itself.
pub const KIND_SYSTEM: &str = "system";
/// A server's data.
pub const KIND_DATA: &str = "data";
/// A server's SSH keys, which only Berth writes.
pub const KIND_SSH: &str = "ssh";
/// Data that was restored beside a server's own.
pub const KIND_RESTORED: &str = "restored";
/// An empty volume that says: this server is removed, its data is kept.
pub const KIND_TOMBSTONE: &str = "tombstone";
/// A network of the platform.
pub const KIND_NETWORK: &str = "network";
/// A volume of the platform itself.
pub const KIND_VOLUME: &str = "volume";
/// A container that tries the isolation from inside, and is gone when it has.
pub const KIND_CANARY: &str = "canary";
/// The container of a drill, and its volumes: a copy of a backup that is started to see that it can be, and is gone then.
pub const KIND_DRILL: &str = "drill";

/// Description that an object of ours carries in its labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// A virtual server's container.
    Server {
        /// The server's number.
        id: ServerId,
        /// The server's name when it was made.
        name: String,
        /// The server's owner when it was made.
        owner: String,
        /// The image reference that it was made of.
        image: String,
        /// The server's `reset` when it was made.
        reset: u32,
        /// The fingerprint of the recipe that it was made from.
        spec: String,
    },
    /// A container, a network or a volume of the platform itself.
    System {
        /// The fingerprint of its specification.
        spec: String,
    },
    /// A server's data volume.
    Data {
        /// The server's number.
        id: ServerId,
        /// The server's name when it was made.
        name: String,
        /// The server's owner when it was made.
        owner: String,
    },
    /// The volume of a server's SSH keys. It holds nothing that couldn't be made again.
    Ssh {
        /// The server's number.
        id: ServerId,
        /// The server's name when it was made.
        name: String,
        /// The server's owner when it was made.
        owner: String,
    },
    /// The volume of data that was restored beside a server's own. Copies of backups, which nobody loses with it.
    Restored {
        /// The server's number.
        id: ServerId,
        /// The server's name when it was made.
        name: String,
        /// The server's owner when it was made.
        owner: String,
    },
    /// The mark of a removed server.
    Tombstone(Tombstone),
    /// A container that tries the isolation from inside. Whoever made it takes it away.
    Canary,
    /// The container of a drill, or a volume of it. Whoever made it takes it away.
    Drill,
    /// Carries our platform label, yet can't be understood. Never touched.
    Unreadable {
        /// The label that is missing or wrong, in a sentence.
        why: String,
    },
}

/// The mark of a removed server: its identity, and the time of its removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The server's number, not to be reused while this stands.
    pub id: ServerId,
    /// The server's name when it was removed.
    pub name: String,
    /// The server's owner when it was removed.
    pub owner: String,
    /// The time of its removal.
    pub removed_at: Timestamp,
    /// The revision that removed it.
    pub revision: String,
}

impl Tag {
    /// Reads the labels of an object: `None` unless it belongs to the platform called `platform`.
    pub fn read(labels: &HashMap<String, String>, platform: &Prefix) -> Option<Self> {
        if labels.get(PLATFORM).map(String::as_str) != Some(platform.as_str()) {
            return None;
        }
        Some(Self::read_ours(labels).unwrap_or_else(|why| Self::Unreadable { why }))
    }

    fn read_ours(labels: &HashMap<String, String>) -> Result<Self, String> {
        let get = |key: &str| labels.get(key).cloned().ok_or_else(|| format!("label {key} is missing"));
        let id = || {
            let text = get(SERVER)?;
            text.parse()
                .map(ServerId)
                .map_err(|_| format!("label {SERVER} is `{text}`, not a server's number"))
        };
        let reset = || match labels.get(RESET) {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| format!("label {RESET} is `{text}`, not a number")),
        };
        match get(KIND)?.as_str() {
            KIND_SERVER => Ok(Self::Server {
                id: id()?,
                name: get(NAME)?,
                owner: get(OWNER)?,
                image: get(IMAGE)?,
                reset: reset()?,
                spec: get(SPEC)?,
            }),
            KIND_CANARY => Ok(Self::Canary),
            KIND_DRILL => Ok(Self::Drill),
            KIND_SYSTEM | KIND_NETWORK | KIND_VOLUME => Ok(Self::System { spec: get(SPEC)? }),
            KIND_DATA => Ok(Self::Data { id: id()?, name: get(NAME)?, owner: get(OWNER)? }),
            KIND_SSH => Ok(Self::Ssh { id: id()?, name: get(NAME)?, owner: get(OWNER)? }),
            KIND_RESTORED => Ok(Self::Restored { id: id()?, name: get(NAME)?, owner: get(OWNER)? }),
            KIND_TOMBSTONE => {
                let text = get(REMOVED_AT)?;
                let removed_at = text
                    .parse()
                    .map_err(|_| format!("label {REMOVED_AT} is `{text}`, not a time (RFC 3339)"))?;
                Ok(Self::Tombstone(Tombstone {
                    id: id()?,
                    name: get(NAME)?,
                    owner: get(OWNER)?,
                    removed_at,
                    revision: get(REVISION)?,
                }))
            }
            other => Err(format!("label {KIND} is `{other}`")),
        }
    }

    /// Writes the labels, which [`Tag::read`] reads back.
    pub fn write(&self, platform: &Prefix) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([(PLATFORM.to_owned(), platform.to_string())]);
        let mut put = |key: &str, value: &str| {
            labels.insert(key.to_owned(), value.to_owned());
        };
        match self {
            Self::Server { id, name, owner, image, reset, spec } => {
                put(KIND, KIND_SERVER);
                if *reset > 0 {
                    put(RESET, &reset.to_string());
                }
                put(SERVER, &id.to_string());
                put(NAME, name);
                put(OWNER, owner);
                put(IMAGE, image);
                put(SPEC, spec);
            }
            Self::System { spec } => {
                put(KIND, KIND_SYSTEM);
                put(SPEC, spec);
            }
            Self::Data { id, name, owner } => {
                put(KIND, KIND_DATA);
                put(SERVER, &id.to_string());
                put(NAME, name);
                put(OWNER, owner);
            }
            Self::Ssh { id, name, owner } => {
                put(KIND, KIND_SSH);
                put(SERVER, &id.to_string());
                put(NAME, name);
                put(OWNER, owner);
            }
            Self::Restored { id, name, owner } => {
                put(KIND, KIND_RESTORED);
                put(SERVER, &id.to_string());
                put(NAME, name);
                put(OWNER, owner);
            }
            Self::Tombstone(stone) => {
                put(KIND, KIND_TOMBSTONE);
                put(SERVER, &stone.id.to_string());
                put(NAME, &stone.name);
                put(OWNER, &stone.owner);
                put(REMOVED_AT, &stone.removed_at.to_string());
                put(REVISION, &stone.revision);
            }
            Self::Canary => put(KIND, KIND_CANARY),
            Self::Drill => put(KIND, KIND_DRILL),
            Self::Unreadable { .. } => {}
        }
        labels
    }
}
