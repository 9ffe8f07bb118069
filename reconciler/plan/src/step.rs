//! The plan: changes in stages, each a list of exact steps.

use std::net::Ipv4Addr;

use berth_schema::name::{Prefix, ServerId};
use berth_schema::server::Limits;
use serde::{Deserialize, Serialize};

use crate::configuration::ConfigurationSpec;
use crate::identity::IdentitySpec;
use crate::render::Kind;
use crate::room::More;
use crate::spec::{ContainerSpec, LinkSpec, NetworkSpec, VolumeSpec};
use crate::takeover::ProgramSpec;

/// Everything that a pass will do, and what it won't do and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// The stages, in order; the changes of one stage are independent of each other.
    pub stages: Vec<Stage>,
    /// Changes that ought to be made and aren't, because something is in the way.
    pub blocked: Vec<Blocked>,
    /// Things that an administrator should know and that need no step.
    pub notes: Vec<Note>,
    /// Number of things that are as they should be.
    pub unchanged: usize,
    /// The removals, counted against the budget.
    pub removals: Removals,
    /// Room in the user plane's subnet, and on the host.
    pub capacity: Capacity,
}

/// One stage: its changes may run side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Stage {
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
    /// Configurations of the platform's own containers, and of the host.
    Configurations,
    /// Removals: tombstones, then purges.
    Removals,
}

/// Change of one object, with its reasons and its steps. The steps run one after the other; the first failure ends them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Change {
    pub subject: Subject,
    pub action: Action,
    /// Explanations for the reader; nothing is decided by them.
    pub reasons: Vec<String>,
    /// Data that will be lost for good; empty when none is.
    pub losses: Vec<String>,
    pub steps: Vec<Step>,
}

/// Object that a change is about.
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

/// Kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// It is removed and created again.
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
#[expect(missing_docs, reason = "the names say it")]
pub enum Step {
    /// Makes a network.
    CreateNetwork(NetworkSpec),
    /// Removes a network.
    RemoveNetwork {
        /// Its name.
        name: String,
        /// The engine's id.
        id: String,
    },
    /// Makes a volume.
    CreateVolume(VolumeSpec),
    /// Puts SSH keys in a volume, in place of others.
    PlaceIdentity(Box<IdentitySpec>),
    /// Puts a program in the volume of a container, which runs it when it starts next.
    PlaceProgram(Box<ProgramSpec>),
    /// Puts a program in the volume of a running container and has it take over, or leaves the one before in force.
    ReplaceProgram(Box<ProgramSpec>),
    /// Removes a volume and its content.
    RemoveVolume {
        /// Its name.
        name: String,
    },
    /// Checks that the host has an address before something is taken away for its sake. Changes nothing.
    RequireAddress {
        /// The address.
        address: Ipv4Addr,
    },
    /// Checks that an image is there before something is taken away for its sake. Changes nothing.
    RequireImage {
        /// The image reference.
        image: String,
    },
    /// Makes a container.
    CreateContainer(Box<ContainerSpec>),
    /// Starts a container.
    StartContainer(ContainerRef),
    /// Lets a frozen container go on.
    UnpauseContainer(ContainerRef),
    /// Stops a container.
    StopContainer {
        container: ContainerRef,
        /// Seconds that it gets before it is killed.
        timeout: u32,
    },
    /// Changes a container's limits in place.
    UpdateLimits {
        container: ContainerRef,
        /// The new limits.
        limits: Limits,
    },
    /// Removes a stopped container; its volumes stay.
    RemoveContainer(ContainerRef),
    /// Links running containers that have no link to the user plane.
    Connect {
        /// The platform whose plane it is.
        plane: String,
        /// The containers and their links.
        links: Vec<Connection>,
    },
    /// Puts a configuration in force: checks it, loads it, tries it from outside, and keeps it or goes back to the last
    /// one.
    Configure(Box<ConfigurationSpec>),
    /// Loads a confirmed configuration again, since something else is in force.
    Reload {
        kind: Kind,
        /// The container that reads it, which is the name of the volume that it lies in too.
        container: String,
    },
    /// Takes away the platform's chains on the host.
    WithdrawHostRules { platform: Prefix },
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

/// Change that ought to be made and isn't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Blocked {
    pub subject: Subject,
    pub action: Action,
    /// Reason why it isn't made.
    pub why: String,
    /// Advice on how to clear the way.
    pub hint: String,
}

/// Something that an administrator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Note {
    /// Its subject, in words.
    pub about: String,
    pub text: String,
    pub audience: Audience,
}

/// People whom a note concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Whoever sees the plan.
    Everybody,
    /// Those who run the host.
    Operators,
}

/// A plan's removals, counted against the budget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removals {
    /// Servers that this revision removes, those that it has removed already included.
    pub count: usize,
    /// Number of servers that one revision may remove.
    pub allowed: usize,
    /// The hash that a commit's trailer must carry to lift the budget once; `None` when nothing is removed.
    pub hash: Option<String>,
    /// Tells whether the budget was exceeded and a trailer lifted it.
    pub lifted: bool,
}

/// Room for servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Addresses in use.
    pub used: usize,
    /// Addresses that there are for servers.
    pub total: usize,
    /// Room on the host; `None` where nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<More>,
}

impl Plan {
    /// All changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.stages.iter().flat_map(|stage| &stage.changes)
    }

    /// Takes out what concerns those alone who run the host: a member's plan.
    pub fn keep_from_members(&mut self) {
        self.notes.retain(|note| note.audience == Audience::Everybody);
    }

    /// Returns whether there is nothing to do. Blocked changes don't count, since they have no steps.
    pub fn is_empty(&self) -> bool {
        self.stages.iter().all(|stage| stage.changes.is_empty())
    }
}
