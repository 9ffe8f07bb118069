//! Observed: what exists on the engine. Holds foreign objects too, so that the planner can see a name that is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use berth_schema::server::Limits;
use serde::{Deserialize, Serialize};

use crate::label::Tag;

/// What exists. The order of the lists means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Networks.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes.
    pub volumes: Vec<ObservedVolume>,
    /// Containers, stopped ones included.
    pub containers: Vec<ObservedContainer>,
    /// The user plane, while its holder runs.
    pub plane: Option<ObservedPlane>,
    /// The platform's own chains on the host.
    pub host_rules: HostRules,
}

/// The platform's own chains on the host: what is in force of them, beside what was confirmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostRules {
    /// There are none, and none were ever confirmed.
    #[default]
    Absent,
    /// What is in force isn't what was confirmed: somebody changed it, the machine started anew, or a change was cut off.
    Altered,
    /// What was confirmed is in force, to the letter: the configuration with this digest.
    Confirmed(String),
}

impl HostRules {
    /// The digest of the configuration that is in force as it was confirmed.
    pub fn confirmed(&self) -> Option<&str> {
        match self {
            Self::Confirmed(digest) => Some(digest),
            Self::Absent | Self::Altered => None,
        }
    }
}

/// The user plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPlane {
    /// The ports that are up, and the address behind each.
    pub ports: BTreeMap<String, Ipv4Addr>,
    /// The ids of running containers that are in its network namespace, the holder aside.
    pub joined: BTreeSet<String>,
    /// What the gateway works by; `None` while it doesn't run, or hasn't loaded yet what was confirmed.
    pub gateway: Option<ObservedGateway>,
}

/// What the gateway works by, whatever its files say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedGateway {
    /// The digest of the rules as the kernel lists them. The same was written down when they were confirmed, in
    /// [`LISTED`](crate::plane::LISTED).
    pub rules: String,
    /// The digest of the configuration that the resolver has read; `None` when no resolver was started.
    pub resolver: Option<String>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNetwork {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it says about itself; `None` when it isn't ours.
    pub tag: Option<Tag>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedVolume {
    /// Its name.
    pub name: String,
    /// What it says about itself; `None` when it isn't ours.
    pub tag: Option<Tag>,
    /// The configurations in it, by file, with the digest of each, and that of what tells of SSH keys. Only volumes of the
    /// platform itself and those of servers' keys are looked into.
    pub files: BTreeMap<String, String>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// What it says about itself; `None` when it isn't ours.
    pub tag: Option<Tag>,
    /// What the engine calls its image: the reference that it was made of, or only a digest once that reference means
    /// another image.
    pub image: String,
    /// What it is doing.
    pub state: RunState,
    /// The limits in force; `None` when it isn't ours.
    pub limits: Option<Limits>,
}

/// What a container is doing, in the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Made and never started.
    Created,
    /// Running.
    Running,
    /// Between two starts of the engine's own restart policy.
    Restarting,
    /// Frozen by hand.
    Paused,
    /// Stopped.
    Exited,
    /// Being removed.
    Removing,
    /// Half removed; the engine can't start it.
    Dead,
}
