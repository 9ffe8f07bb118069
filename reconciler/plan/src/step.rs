//! The plan: changes in stages, each a list of exact steps.

use std::fmt;

use berth_schema::name::{Prefix, ServerId};
use berth_schema::server::Limits;
use serde::Serialize;

use crate::configuration::ConfigurationSpec;
use crate::identity::IdentitySpec;
use crate::render::Kind;
use crate::spec::{ContainerSpec, LinkSpec, NetworkSpec, VolumeSpec};

/// Everything that a pass will do, and what it won't do and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// In this order; the changes of one stage are independent of each other.
    pub stages: Vec<Stage>,
    /// What ought to be done and isn't, because something is in the way.
    pub blocked: Vec<Blocked>,
    /// Things that an administrator should know and that need no step.
    pub notes: Vec<Note>,
    /// Number of things that are as they should be.
    pub unchanged: usize,
    /// What the removals come to.
    pub removals: Removals,
    /// Room in the user plane's subnet.
    pub capacity: Capacity,
}

/// One stage: its changes may run side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// What the stage is about.
    pub kind: StageKind,
    /// Its changes, in a fixed order.
    pub changes: Vec<Change>,
}

/// The stages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// Networks.
    Networks,
    /// The platform's own containers.
    System,
    /// Links to the user plane.
    Links,
    /// Servers, with their volumes.
    Servers,
    /// What the platform's own containers are told.
    Configurations,
    /// Removals: tombstones, then purges.
    Removals,
}

/// One thing that changes: why, and by which steps. The steps run one after the other; the first failure ends them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What changes.
    pub subject: Subject,
    /// How, in a word.
    pub action: Action,
    /// Why. Explains, never decides.
    pub reasons: Vec<String>,
    /// What will be lost for good; empty when nothing is.
    pub losses: Vec<String>,
    /// What will be done.
    pub steps: Vec<Step>,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A network, by name; several, with commas, when they can only change together.
    Network(String),
    /// A container of the platform itself, by name.
    System(String),
    /// The links of the user plane, by the platform's prefix.
    Links(String),
    /// A server.
    Server {
        /// Its number.
        id: ServerId,
        /// Its name.
        name: String,
    },
    /// A configuration.
    Configuration(Kind),
}

/// How a thing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is made.
    Create,
    /// It changes in place, without a restart.
    Update,
    /// It is started.
    Start,
    /// It is stopped, with everything kept.
    Stop,
    /// It is taken away and made anew.
    Recreate,
    /// A removed server is stopped and kept as a tombstone.
    Entomb,
    /// A tombstone becomes a server again, with its data.
    Resurrect,
    /// A tombstone's data is removed for good.
    Purge,
    /// It is removed; it held no data.
    Remove,
}

/// One effect on the engine, with everything that it needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Make a network.
    CreateNetwork(NetworkSpec),
    /// Remove a network.
    RemoveNetwork {
        /// Its name.
        name: String,
        /// The engine's id.
        id: String,
    },
    /// Make a volume.
    CreateVolume(VolumeSpec),
    /// Put SSH keys in a volume, in place of others.
    PlaceIdentity(Box<IdentitySpec>),
    /// Remove a volume and what is in it.
    RemoveVolume {
        /// Its name.
        name: String,
    },
    /// Make sure that an image is there before something is taken away for its sake. Changes nothing.
    RequireImage {
        /// The image reference.
        image: String,
    },
    /// Make a container.
    CreateContainer(Box<ContainerSpec>),
    /// Start a container.
    StartContainer(ContainerRef),
    /// Let a frozen container go on.
    UnpauseContainer(ContainerRef),
    /// Stop a container.
    StopContainer {
        /// Which.
        container: ContainerRef,
        /// Seconds that it gets before it is killed.
        timeout: u32,
    },
    /// Change a container's limits in place.
    UpdateLimits {
        /// Which.
        container: ContainerRef,
        /// The new limits.
        limits: Limits,
    },
    /// Remove a stopped container; its volumes stay.
    RemoveContainer(ContainerRef),
    /// Link containers to the user plane that run without a link.
    Connect {
        /// The platform whose plane it is.
        plane: String,
        /// Which containers, and how.
        links: Vec<Connection>,
    },
    /// Put a configuration in force: check it, load it, try it from outside, and keep it or go back to the last one.
    Configure(Box<ConfigurationSpec>),
    /// Load a configuration again that was confirmed, since something else is in force.
    Reload {
        /// Which.
        kind: Kind,
        /// The container that reads it, which is the name of the volume that it lies in too.
        container: String,
    },
    /// Take away the platform's chains on the host.
    WithdrawHostRules {
        /// Whose chains.
        platform: Prefix,
    },
}

/// A container and the link that it should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// The container.
    pub container: ContainerRef,
    /// Its link.
    pub link: LinkSpec,
}

/// A container that a step is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerRef {
    /// Its name.
    pub name: String,
    /// The engine's id; `None` for the one that an earlier step of the same change makes.
    pub id: Option<String>,
}

/// Something that ought to be done and isn't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// What it is about.
    pub subject: Subject,
    /// What would have been done.
    pub action: Action,
    /// What is in the way.
    pub why: String,
    /// How to get it out of the way.
    pub hint: String,
}

/// Something that an administrator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about, in words.
    pub about: String,
    /// What there is to know.
    pub text: String,
}

/// What a plan's removals come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removals {
    /// Servers that this revision removes, those that it has removed already included.
    pub count: usize,
    /// How many one revision may remove.
    pub allowed: usize,
    /// The hash that a commit's trailer must carry to lift the budget once; `None` when nothing is removed.
    pub hash: Option<String>,
    /// Whether the budget was exceeded and a trailer lifted it.
    pub lifted: bool,
}

/// Room in the user plane's subnet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Addresses in use.
    pub used: usize,
    /// Addresses that there are for servers.
    pub total: usize,
}

impl Plan {
    /// All changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.stages.iter().flat_map(|stage| &stage.changes)
    }

    /// Whether there is nothing to do. What is blocked is not nothing, but no step comes of it.
    pub fn is_empty(&self) -> bool {
        self.stages.iter().all(|stage| stage.changes.is_empty())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "network {name}"),
            Self::System(name) => write!(f, "system container {name}"),
            Self::Links(plane) => write!(f, "links of {plane}"),
            Self::Configuration(kind) => write!(f, "configuration {kind}"),
            Self::Server { id, name } => write!(f, "server {name} (id {id})"),
        }
    }
}
