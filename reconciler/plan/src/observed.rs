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
    /// The digest of the configuration that the platform's chains on the host were made from; `None` when there are none,
    /// or nothing leads into them.
    pub host_rules: Option<String>,
}

/// The user plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPlane {
    /// The ports that are up, and the address behind each.
    pub ports: BTreeMap<String, Ipv4Addr>,
    /// The ids of running containers that are in its network namespace, the holder aside.
    pub joined: BTreeSet<String>,
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
