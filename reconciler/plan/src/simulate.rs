//! The engine as a model: Docker's rules, without Docker.
//!
//! Serves two ends: a plan between two states needs no engine ([`settled`]), and tests hold the planner's promises
//! against worlds that a real engine couldn't be brought into so fast.

#[cfg(feature = "testing")]
mod drift;
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use berth_schema::name::Prefix;
use berth_schema::server::Limits;
use ipnet::Ipv4Net;
use jiff::Timestamp;

use crate::configuration::{ConfigurationSpec, Place};
use crate::desired::Desired;
use crate::diff::{Context, plan};
use crate::digest;
use crate::identity::PLACED;
use crate::label::{self, Tag};
use crate::names::{self, Service, value_in, variable};
use crate::observed::{
    HostRules, Observed, ObservedContainer, ObservedGateway, ObservedNetwork, ObservedPlane, ObservedVolume,
    RunState, Sessions,
};
use crate::plane::LISTED;
use crate::render::Kind;
use crate::spec::{ContainerSpec, NetworkSpec};
use crate::step::{Connection, ContainerRef, Plan, Step};

/// Reason for which the engine refuses a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulatedError {
    /// The name is taken (409).
    #[error("the {what} name {name} is taken")]
    NameTaken {
        /// A container or a network.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is no such thing (404).
    #[error("there is no {what} {name}")]
    NoSuch {
        /// A container, a volume or a network.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// Something still uses it (409).
    #[error("the {what} {name} is in use by {user}")]
    InUse {
        /// A volume or a network.
        what: &'static str,
        /// Its name.
        name: String,
        /// The container that uses it.
        user: String,
    },
    /// The container's state doesn't allow it (409).
    #[error("the container {name} is {}", state.word())]
    WrongState {
        /// Its name.
        name: String,
        /// Its state.
        state: RunState,
    },
    /// Another network has the subnet, or a part of it (403).
    #[error("the subnet {subnet} overlaps the network {other}")]
    SubnetTaken {
        /// The subnet.
        subnet: Ipv4Net,
        /// The network that has it.
        other: String,
    },
}

type Labels = BTreeMap<String, String>;

/// An engine and what is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// By id.
    networks: BTreeMap<String, Network>,
    /// By name.
    volumes: BTreeMap<String, Volume>,
    /// By name.
    containers: BTreeMap<String, Container>,
    /// The platform's chains on the host.
    host_rules: HostRules,
    /// SSH sessions that people have.
    sessions: Option<Sessions>,
    /// The digest of the rules that are in force in a network namespace, as the kernel lists them.
    rules: BTreeMap<u64, String>,
    /// Counts what was made, so that ids are the same in every run and never come twice.
    made: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    name: String,
    subnet: Option<Ipv4Net>,
    labels: Labels,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Volume {
    /// Number that stands for what is in it: a volume that is removed and made again has another one.
    content: u64,
    labels: Labels,
    /// Digests of the configurations in it, by file.
    files: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Container {
    id: String,
    image: String,
    labels: Labels,
    state: RunState,
    limits: Option<Limits>,
    /// Ids of networks.
    networks: Vec<String>,
    /// Names of volumes.
    volumes: Vec<String>,
    /// The container whose network namespace it is in.
    joins: Option<String>,
    /// The port and the address that its environment names, by which its runtime links it.
    port: Option<(String, Ipv4Addr)>,
    /// Its network namespace: another one after every start.
    namespace: u64,
    /// The namespace that its link ends in.
    linked_to: Option<u64>,
    /// The digest of the configuration that its resolver has read, if it is the gateway.
    resolver: Option<String>,
}

/// The world in which everything that `desired` says exists, and nothing else.
pub fn settled(desired: &Desired) -> Result<World, SimulatedError> {
    let mut world = World::default();
    let context = Context {
        now: Timestamp::UNIX_EPOCH,
        revision: "",
        allowance: None,
        previous: None,
        largest_id: None,
    };
    let plan = plan(desired, &Observed::default(), &context);
    world.apply_plan(&plan)?;
    Ok(world)
}

impl World {
    /// Returns what a platform with this prefix sees.
    pub fn observed(&self, platform: &Prefix) -> Observed {
        let tag = |labels: &Labels| {
            Tag::read(&labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(), platform)
        };
        Observed {
            networks: self
                .networks
                .iter()
                .map(|(id, network)| ObservedNetwork {
                    id: id.clone(),
                    name: network.name.clone(),
                    tag: tag(&network.labels),
                })
                .collect(),
            volumes: self
                .volumes
                .iter()
                .map(|(name, volume)| ObservedVolume {
                    name: name.clone(),
                    tag: tag(&volume.labels),
                    files: volume.files.clone(),
                })
                .collect(),
            containers: self
                .containers
                .iter()
                .map(|(name, container)| {
                    let tag = tag(&container.labels);
                    ObservedContainer {
                        id: container.id.clone(),
                        name: name.clone(),
                        image: container.image.clone(),
                        limits: container.limits.filter(|_| tag.is_some()),
                        tag,
                        state: container.state,
                    }
                })
                .collect(),
            plane: self.plane(platform),
            host_rules: self.host_rules.clone(),
            profiles: BTreeSet::new(),
            sessions: self.sessions.clone(),
        }
    }

    /// The user plane: the network namespace of the holder, while it runs.
    fn plane(&self, platform: &Prefix) -> Option<ObservedPlane> {
        let namespace = self.plane_namespace(&names::holder(platform))?;
        let up = || self.containers.values().filter(|container| container.state.has_namespaces());
        let linked = up().filter(|container| container.linked_to == Some(namespace));
        let inside = up().filter(|container| container.joins.is_some() && container.namespace == namespace);
        Some(ObservedPlane {
            ports: linked.filter_map(|container| container.port.clone()).collect(),
            joined: inside.map(|container| container.id.clone()).collect(),
            gateway: self.gateway(platform, namespace),
        })
    }

    fn gateway(&self, platform: &Prefix, plane: u64) -> Option<ObservedGateway> {
        let found = self.containers.get(&Service::Firewall.container(platform))?;
        (found.state == RunState::Running && found.namespace == plane).then(|| ObservedGateway {
            rules: self.rules.get(&plane).cloned().unwrap_or_default(),
            resolver: found.resolver.clone(),
        })
    }

    fn plane_namespace(&self, holder: &str) -> Option<u64> {
        let holder = self.containers.get(holder)?;
        holder.state.has_namespaces().then_some(holder.namespace)
    }

    /// Number that stands for the plane that a container's packets reach: another one after every loss of the holder.
    /// `None` when they reach none.
    pub fn reaches(&self, container: &str) -> Option<u64> {
        let plane = self.holder_beside(container).and_then(|holder| self.plane_namespace(&holder))?;
        let found = self.containers.get(container).filter(|found| found.state.has_namespaces())?;
        (found.linked_to == Some(plane) || found.namespace == plane).then_some(plane)
    }

    /// Number that stands for the content of a volume: equal as long as nobody removed it and made it again.
    pub fn content(&self, volume: &str) -> Option<u64> {
        self.volumes.get(volume).map(|volume| volume.content)
    }

    /// Does every step of a plan, in order, until one is refused.
    pub fn apply_plan(&mut self, plan: &Plan) -> Result<(), SimulatedError> {
        plan.changes().flat_map(|change| &change.steps).try_for_each(|step| self.apply(step))
    }

    /// Does one step, or refuses it for the reason that Docker would have.
    pub fn apply(&mut self, step: &Step) -> Result<(), SimulatedError> {
        match step {
            Step::CreateNetwork(spec) => self.create_network(spec),
            Step::RemoveNetwork { name, id } => self.remove_network(name, id),
            Step::CreateVolume(spec) => {
                self.create_volume(&spec.name, &spec.labels);
                Ok(())
            }
            Step::PlaceIdentity(spec) => {
                let volume = self.volumes.get_mut(&spec.volume);
                let missing = || SimulatedError::NoSuch { what: "volume", name: spec.volume.clone() };
                volume.ok_or_else(missing)?.files.insert(PLACED.to_owned(), spec.digest());
                Ok(())
            }
            Step::PlaceProgram(spec) | Step::ReplaceProgram(spec) => self.take_program(step, spec),
            Step::RemoveVolume { name } => self.remove_volume(name),
            // The model has every image.
            Step::RequireImage { .. } | Step::RequireAddress { .. } => Ok(()),
            Step::CreateContainer(spec) => self.create_container(spec),
            Step::StartContainer(container) => self.start(container),
            Step::UnpauseContainer(container) => {
                let (name, found) = self.find(container)?;
                match found.state {
                    RunState::Paused => found.state = RunState::Running,
                    state => return Err(SimulatedError::WrongState { name, state }),
                }
                Ok(())
            }
            Step::StopContainer { container, .. } => {
                let (_, found) = self.find(container)?;
                // Stopping what is stopped is fine (304).
                if found.state.is_active() {
                    found.state = RunState::Exited;
                }
                Ok(())
            }
            Step::UpdateLimits { container, limits } => {
                let (name, found) = self.find(container)?;
                if let state @ (RunState::Removing | RunState::Dead) = found.state {
                    return Err(SimulatedError::WrongState { name, state });
                }
                found.limits = Some(*limits);
                Ok(())
            }
            Step::RemoveContainer(container) => {
                let (name, found) = self.find(container)?;
                let state = found.state;
                if state.is_active() || state == RunState::Removing {
                    return Err(SimulatedError::WrongState { name, state });
                }
                self.containers.remove(&name);
                Ok(())
            }
            Step::Connect { plane, links } => links.iter().try_for_each(|one| self.connect(plane, one)),
            Step::Configure(spec) => self.configure(spec),
            Step::Reload { kind, container } => {
                let files = self.volumes.get(container).map(|volume| &volume.files);
                let confirmed = files.and_then(|files| files.get(kind.file())).cloned();
                let missing =
                    || SimulatedError::NoSuch { what: "configuration", name: kind.file().to_owned() };
                self.load(*kind, container, &confirmed.ok_or_else(missing)?)
            }
            Step::WithdrawHostRules { .. } => {
                self.host_rules = HostRules::Absent;
                Ok(())
            }
        }
    }

    fn connect(&mut self, plane: &str, wanted: &Connection) -> Result<(), SimulatedError> {
        let holder = names::holder(plane);
        let Some(namespace) = self.plane_namespace(&holder) else {
            return Err(SimulatedError::NoSuch { what: "plane", name: plane.to_owned() });
        };
        let (_, found) = self.find(&wanted.container)?;
        found.port = Some((wanted.link.port.clone(), wanted.link.address));
        found.linked_to = Some(namespace);
        Ok(())
    }

    fn configure(&mut self, spec: &ConfigurationSpec) -> Result<(), SimulatedError> {
        let Place::Container { container, volume, file } = &spec.place else {
            self.host_rules = HostRules::Confirmed(spec.digest.clone());
            return Ok(());
        };
        self.load(spec.kind, container, &spec.digest)?;
        let missing = || SimulatedError::NoSuch { what: "volume", name: volume.clone() };
        let found = self.volumes.get_mut(volume).ok_or_else(missing)?;
        found.files.insert(file.clone(), spec.digest.clone());
        Ok(())
    }

    /// Makes the program in a container work by the configuration with this digest.
    fn load(&mut self, kind: Kind, container: &str, digest: &str) -> Result<(), SimulatedError> {
        let missing = || SimulatedError::NoSuch { what: "container", name: container.to_owned() };
        let found = self.containers.get_mut(container).ok_or_else(missing)?;
        if found.state != RunState::Running {
            return Err(SimulatedError::WrongState { name: container.to_owned(), state: found.state });
        }
        match kind {
            Kind::Firewall => {
                let listed = listed(digest);
                self.rules.insert(found.namespace, listed.clone());
                if let Some(volume) = self.volumes.get_mut(container) {
                    volume.files.insert(LISTED.to_owned(), listed);
                }
            }
            Kind::Dns => found.resolver = Some(digest.to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// Makes the gateway work by the confirmed configuration, as it does when it starts.
    fn begin(&mut self, container: &str, namespace: u64) {
        let Some(files) = self.volumes.get(container).map(|volume| &volume.files) else { return };
        match files.get(Kind::Firewall.file()) {
            Some(confirmed) => self.rules.insert(namespace, listed(confirmed)),
            None => self.rules.remove(&namespace),
        };
        let resolver = files.get(Kind::Dns.file()).cloned();
        if let Some(found) = self.containers.get_mut(container) {
            found.resolver = resolver;
        }
    }

    fn create_network(&mut self, spec: &NetworkSpec) -> Result<(), SimulatedError> {
        if self.networks.values().any(|network| network.name == spec.name) {
            return Err(SimulatedError::NameTaken { what: "network", name: spec.name.clone() });
        }
        let overlaps = |other: &Ipv4Net| other.contains(&spec.subnet) || spec.subnet.contains(other);
        if let Some(other) =
            self.networks.values().find(|network| network.subnet.as_ref().is_some_and(overlaps))
        {
            return Err(SimulatedError::SubnetTaken { subnet: spec.subnet, other: other.name.clone() });
        }
        let id = self.next_id();
        let network =
            Network { name: spec.name.clone(), subnet: Some(spec.subnet), labels: spec.labels.clone() };
        self.networks.insert(id, network);
        Ok(())
    }

    fn remove_network(&mut self, name: &str, id: &str) -> Result<(), SimulatedError> {
        if !self.networks.contains_key(id) {
            return Err(SimulatedError::NoSuch { what: "network", name: name.to_owned() });
        }
        // A stopped container doesn't hold its network; it just can't be started afterwards.
        let holds = |container: &Container| {
            container.state.is_active() && container.networks.iter().any(|network| network == id)
        };
        if let Some((user, _)) = self.containers.iter().find(|(_, container)| holds(container)) {
            return Err(SimulatedError::InUse { what: "network", name: name.to_owned(), user: user.clone() });
        }
        self.networks.remove(id);
        Ok(())
    }

    fn create_volume(&mut self, name: &str, labels: &Labels) {
        // Docker hands back the volume that has the name, with its own labels.
        if !self.volumes.contains_key(name) {
            let content = self.next();
            let volume = Volume { content, labels: labels.clone(), files: BTreeMap::new() };
            self.volumes.insert(name.to_owned(), volume);
        }
    }

    fn remove_volume(&mut self, name: &str) -> Result<(), SimulatedError> {
        let holds = |container: &Container| container.volumes.iter().any(|volume| volume == name);
        if let Some((user, _)) = self.containers.iter().find(|(_, container)| holds(container)) {
            return Err(SimulatedError::InUse { what: "volume", name: name.to_owned(), user: user.clone() });
        }
        match self.volumes.remove(name) {
            Some(_) => Ok(()),
            None => Err(SimulatedError::NoSuch { what: "volume", name: name.to_owned() }),
        }
    }

    fn create_container(&mut self, spec: &ContainerSpec) -> Result<(), SimulatedError> {
        if self.containers.contains_key(&spec.name) {
            return Err(SimulatedError::NameTaken { what: "container", name: spec.name.clone() });
        }
        let mut networks = Vec::new();
        for name in &spec.networks {
            let found = self.networks.iter().find(|(_, network)| network.name == *name);
            let Some((id, _)) = found else {
                return Err(SimulatedError::NoSuch { what: "network", name: name.clone() });
            };
            networks.push(id.clone());
        }
        for mount in &spec.mounts {
            // Docker makes a volume that is missing, without labels.
            self.create_volume(&mount.volume, &Labels::new());
        }
        let container = Container {
            id: self.next_id(),
            image: spec.image.clone(),
            labels: spec.labels.clone(),
            state: RunState::Created,
            limits: spec.limits,
            networks,
            volumes: spec.mounts.iter().map(|mount| mount.volume.clone()).collect(),
            joins: spec.joins.clone(),
            port: port(&spec.env),
            namespace: 0,
            linked_to: None,
            resolver: None,
        };
        self.containers.insert(spec.name.clone(), container);
        Ok(())
    }

    fn start(&mut self, container: &ContainerRef) -> Result<(), SimulatedError> {
        let networks: Vec<String> = self.networks.keys().cloned().collect();
        let (name, found) = self.find(container)?;
        match found.state {
            // Starting what runs is fine (304).
            RunState::Running | RunState::Restarting => Ok(()),
            RunState::Created | RunState::Exited => {
                if let Some(gone) = found.networks.iter().find(|id| !networks.contains(id)) {
                    return Err(SimulatedError::NoSuch { what: "network", name: gone.clone() });
                }
                let joins = found.joins.clone();
                let own = self.next();
                let namespace = match joins {
                    Some(other) => self
                        .plane_namespace(&other)
                        .ok_or(SimulatedError::NoSuch { what: "running container", name: other })?,
                    None => own,
                };
                // Its runtime links it as it starts, if there is a plane.
                let plane = self.holder_beside(&name).and_then(|holder| self.plane_namespace(&holder));
                let (_, found) = self.find(container)?;
                found.namespace = namespace;
                found.linked_to = plane.filter(|_| found.port.is_some());
                found.state = RunState::Running;
                if self.is_gateway(&name) {
                    self.begin(&name, namespace);
                }
                Ok(())
            }
            state @ (RunState::Paused | RunState::Removing | RunState::Dead) => {
                Err(SimulatedError::WrongState { name, state })
            }
        }
    }

    fn is_gateway(&self, container: &str) -> bool {
        let platform = self.containers.get(container).and_then(|found| found.labels.get(label::PLATFORM));
        platform.is_some_and(|platform| Service::Firewall.container(platform) == container)
    }

    /// The holder of the platform that a container belongs to.
    fn holder_beside(&self, container: &str) -> Option<String> {
        let platform = self.containers.get(container)?.labels.get(label::PLATFORM)?;
        Some(names::holder(platform))
    }

    fn find(&mut self, wanted: &ContainerRef) -> Result<(String, &mut Container), SimulatedError> {
        // Nearly always the name is still right, and then nothing has to be searched.
        let named = self.containers.get(&wanted.name);
        let is_it = |container: &Container| wanted.id.as_ref().is_none_or(|id| container.id == *id);
        let name = if named.is_some_and(is_it) {
            Some(wanted.name.clone())
        } else {
            let by_id = |container: &Container| wanted.id.as_ref() == Some(&container.id);
            let mut all = self.containers.iter();
            all.find(|(_, container)| by_id(container)).map(|(name, _)| name.clone())
        };
        let missing = || SimulatedError::NoSuch { what: "container", name: wanted.name.clone() };
        let name = name.ok_or_else(missing)?;
        let found = self.containers.get_mut(&name).ok_or_else(missing)?;
        Ok((name, found))
    }

    fn next_id(&mut self) -> String {
        format!("{:012x}", self.next())
    }

    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

/// Stand-in for what the kernel lists when it has the rules with this digest.
fn listed(digest: &str) -> String {
    digest::digest(format!("listed {digest}").as_bytes())
}

fn port(environment: &[String]) -> Option<(String, Ipv4Addr)> {
    let value = |variable| value_in(environment, variable);
    Some((value(variable::PORT)?.to_owned(), value(variable::ADDRESS)?.parse().ok()?))
}
