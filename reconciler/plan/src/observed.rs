//! Observed: what exists on the engine. Holds foreign objects too, so that the planner can see a name that is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use berth_schema::server::Limits;
use serde::{Deserialize, Serialize};

use crate::label::Tag;

/// Everything that exists on the engine. The order of the lists means nothing.
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
    /// Those of Berth's AppArmor profiles that the host has loaded; none where it has no AppArmor.
    #[serde(default)]
    pub profiles: BTreeSet<String>,
    /// The SSH sessions that people have through the router; `None` where nobody looked, which is so but for an operator's own plan.
    #[serde(default)]
    pub sessions: Option<Sessions>,
}

/// SSH sessions that people have, by the person's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions(pub BTreeMap<String, u32>);

/// State of the platform's own chains on the host, compared with the confirmed configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostRules {
    /// There are none, and none were ever confirmed.
    #[default]
    Absent,
    /// The chains in force aren't the confirmed ones: somebody changed them, the machine restarted, or a change was cut
    /// off.
    Altered,
    /// The confirmed configuration is in force, to the letter; this is its digest.
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
    /// Configuration that the gateway works by; `None` while it doesn't run, or hasn't loaded yet what was confirmed.
    pub gateway: Option<ObservedGateway>,
}

/// Configuration that the gateway works by, whatever its files say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedGateway {
    /// The digest of the rules as the kernel lists them. It is compared with the digest of the
    /// file [`LISTED`](crate::plane::LISTED), which was written when they were confirmed.
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
    /// The description in its labels; `None` when it isn't ours.
    pub tag: Option<Tag>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedVolume {
    /// Its name.
    pub name: String,
    /// The description in its labels; `None` when it isn't ours.
    pub tag: Option<Tag>,
    /// The digests of the configurations in it, of the description of SSH keys, and of the marks of programs, by file. Only the platform's own
    /// volumes and those of servers' keys are read.
    pub files: BTreeMap<String, String>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// The description in its labels; `None` when it isn't ours.
    pub tag: Option<Tag>,
    /// The engine's name for its image: the reference that it was made of, or only a digest once that reference means
    /// another image.
    pub image: String,
    pub state: RunState,
    /// The limits in force; `None` when it isn't ours.
    pub limits: Option<Limits>,
}

/// State of a container, in the engine's words.
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
