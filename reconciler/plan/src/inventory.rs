//! The inventory: what the platform owns, read from the labels of what exists, and from nothing else.
//!
//! Whatever doesn't carry our label isn't in here, and nothing that isn't in here is ever touched.

use std::cell::OnceCell;
use std::collections::HashMap;

use berth_schema::name::ServerId;
use jiff::Timestamp;
use smallvec::SmallVec;

use crate::identity::PLACED;
use crate::label::{Tag, Tombstone};
use crate::names::DATA_VOLUMES;
use crate::observed::{Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Sessions};

/// Objects that the platform owns, and the names that are taken.
#[derive(Debug)]
pub struct Inventory<'a> {
    /// Objects of each server, whether it is still wanted or not.
    pub servers: HashMap<ServerId, Holding<'a>>,
    /// The platform's own containers, by name.
    pub system: HashMap<&'a str, System<'a>>,
    /// The platform's own volumes, by name.
    pub volumes: HashMap<&'a str, &'a ObservedVolume>,
    /// All networks by name, foreign ones included: an engine may have two of one name.
    pub networks: HashMap<&'a str, Vec<&'a ObservedNetwork>>,
    /// The SSH sessions that people have, where somebody looked.
    pub sessions: Option<&'a Sessions>,
    /// Objects that carry our label and can't be understood, each with the reason. Never touched.
    pub unreadable: Vec<(String, String)>,
    observed: &'a Observed,
    containers_by_name: OnceCell<HashMap<&'a str, &'a ObservedContainer>>,
    volumes_by_name: OnceCell<HashMap<&'a str, &'a ObservedVolume>>,
}

/// Objects of one server.
#[derive(Debug, Default)]
pub struct Holding<'a> {
    /// Its container.
    pub container: Option<ServerContainer<'a>>,
    /// Further containers that claim to be this server. If there is one, nobody can say which container is right.
    pub rivals: Vec<ServerContainer<'a>>,
    /// Its data volumes.
    pub data: SmallVec<[DataVolume<'a>; DATA_VOLUMES.len()]>,
    /// The volumes of its SSH keys. One, unless somebody made more by hand.
    pub ssh: SmallVec<[SshVolume<'a>; 1]>,
    /// The volumes of data that was restored beside its own. One, unless somebody made more by hand.
    pub restored: SmallVec<[&'a str; 1]>,
    /// The marks of its removal. One, unless somebody made more by hand.
    pub tombstones: Vec<TombstoneVolume<'a>>,
}

/// A server's container and what its labels say.
#[derive(Debug, Clone, Copy)]
pub struct ServerContainer<'a> {
    /// The container.
    pub container: &'a ObservedContainer,
    /// The server's name when it was made.
    pub name: &'a str,
    /// The server's owner when it was made.
    pub owner: &'a str,
    /// The image reference that it was made of.
    pub image: &'a str,
    /// The server's `reset` when it was made.
    pub reset: u32,
    /// The fingerprint of the confinement that it was made with.
    pub spec: &'a str,
}

/// A data volume and what its labels say.
#[derive(Debug, Clone, Copy)]
pub struct DataVolume<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// The server's name when it was made.
    pub name: &'a str,
    /// The server's owner when it was made.
    pub owner: &'a str,
}

/// The volume of a server's SSH keys, and what its labels say.
#[derive(Debug, Clone, Copy)]
pub struct SshVolume<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// The server's name when it was made.
    pub name: &'a str,
    /// The server's owner when it was made.
    pub owner: &'a str,
    /// The digest of the keys in it; `None` when there are none.
    pub placed: Option<&'a str>,
}

/// A tombstone and the volume that carries it.
#[derive(Debug, Clone, Copy)]
pub struct TombstoneVolume<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// The tombstone that its labels describe.
    pub stone: &'a Tombstone,
}

/// One of the platform's own containers.
#[derive(Debug, Clone, Copy)]
pub struct System<'a> {
    /// The container.
    pub container: &'a ObservedContainer,
    /// The fingerprint of the specification that it was made from.
    pub spec: &'a str,
}

impl<'a> Inventory<'a> {
    /// Reads the labels of everything that exists.
    pub fn read(observed: &'a Observed) -> Self {
        let mut inventory = Self {
            servers: HashMap::with_capacity(observed.containers.len()),
            system: HashMap::new(),
            volumes: HashMap::new(),
            networks: HashMap::with_capacity(observed.networks.len()),
            sessions: observed.sessions.as_ref(),
            unreadable: Vec::new(),
            observed,
            containers_by_name: OnceCell::new(),
            volumes_by_name: OnceCell::new(),
        };
        for container in &observed.containers {
            inventory.add_container(container);
        }
        for volume in &observed.volumes {
            inventory.add_volume(volume);
        }
        for network in &observed.networks {
            inventory.networks.entry(&network.name).or_default().push(network);
            inventory.note_misfit("network", &network.name, network.tag.as_ref(), |tag| {
                matches!(tag, Tag::System { .. })
            });
        }
        for holding in inventory.servers.values_mut() {
            holding.settle();
        }
        inventory.unreadable.sort();
        inventory
    }

    /// The container of this name, whoever owns it.
    pub fn container_named(&self, name: &str) -> Option<&'a ObservedContainer> {
        // Only plans that make something ask, so the map isn't there until then.
        self.containers_by_name
            .get_or_init(|| self.observed.containers.iter().map(|c| (c.name.as_str(), c)).collect())
            .get(name)
            .copied()
    }

    /// The volume of this name, whoever owns it.
    pub fn volume_named(&self, name: &str) -> Option<&'a ObservedVolume> {
        self.volumes_by_name
            .get_or_init(|| self.observed.volumes.iter().map(|v| (v.name.as_str(), v)).collect())
            .get(name)
            .copied()
    }

    fn add_container(&mut self, container: &'a ObservedContainer) {
        match &container.tag {
            Some(Tag::Server { id, name, owner, image, reset, spec }) => {
                let holding = self.servers.entry(*id).or_default();
                let mut owned = ServerContainer { container, name, owner, image, reset: *reset, spec };
                if let Some(first) = &mut holding.container {
                    // Which of the two comes first may not depend on the order of the engine's list.
                    if owned.container.name < first.container.name {
                        std::mem::swap(first, &mut owned);
                    }
                    holding.rivals.push(owned);
                } else {
                    holding.container = Some(owned);
                }
            }
            Some(Tag::System { spec }) => {
                self.system.insert(&container.name, System { container, spec });
            }
            other => {
                let is_passing = |tag: &Tag| matches!(tag, Tag::Canary | Tag::Drill);
                self.note_misfit("container", &container.name, other.as_ref(), is_passing);
            }
        }
    }

    fn add_volume(&mut self, volume: &'a ObservedVolume) {
        match &volume.tag {
            Some(Tag::Data { id, name, owner }) => {
                let holding = self.servers.entry(*id).or_default();
                holding.data.push(DataVolume { volume: &volume.name, name, owner });
            }
            Some(Tag::Ssh { id, name, owner }) => {
                let placed = volume.files.get(PLACED).map(String::as_str);
                let holding = self.servers.entry(*id).or_default();
                holding.ssh.push(SshVolume { volume: &volume.name, name, owner, placed });
            }
            Some(Tag::Restored { id, .. }) => {
                self.servers.entry(*id).or_default().restored.push(&volume.name);
            }
            Some(Tag::Tombstone(stone)) => {
                let holding = self.servers.entry(stone.id).or_default();
                holding.tombstones.push(TombstoneVolume { volume: &volume.name, stone });
            }
            Some(Tag::System { .. }) => {
                self.volumes.insert(&volume.name, volume);
            }
            other => self.note_misfit("volume", &volume.name, other.as_ref(), |tag| *tag == Tag::Drill),
        }
    }

    fn note_misfit(&mut self, what: &str, name: &str, tag: Option<&Tag>, fits: impl Fn(&Tag) -> bool) {
        let why = match tag {
            None => return,
            Some(tag) if fits(tag) => return,
            Some(Tag::Unreadable { why }) => why.clone(),
            Some(_) => format!("its labels are not those of a {what}"),
        };
        self.unreadable.push((format!("{what} {name}"), why));
    }
}

impl<'a> Holding<'a> {
    /// Puts the lists in an order that doesn't depend on the engine's.
    fn settle(&mut self) {
        self.data.sort_unstable_by_key(|data| data.volume);
        self.ssh.sort_unstable_by_key(|ssh| ssh.volume);
        self.restored.sort_unstable();
        self.tombstones.sort_unstable_by_key(|tombstone| tombstone.volume);
        self.rivals.sort_unstable_by_key(|owned| &owned.container.name);
    }

    /// The tombstone that counts: the youngest, which keeps the data longest.
    pub fn tombstone(&self) -> Option<&'a Tombstone> {
        self.tombstones.iter().map(|tombstone| tombstone.stone).max_by_key(|stone| stone.removed_at)
    }

    /// The name and the owner that the labels give, the container's before the volumes'.
    pub fn identity(&self) -> Option<(&'a str, &'a str)> {
        let container = self.container.map(|owned| (owned.name, owned.owner));
        container
            .or_else(|| self.data.first().map(|data| (data.name, data.owner)))
            .or_else(|| self.ssh.first().map(|ssh| (ssh.name, ssh.owner)))
    }

    /// The names of all containers that claim to be this server, sorted.
    pub fn claimants(&self) -> Vec<&'a str> {
        self.container.iter().chain(&self.rivals).map(|owned| owned.container.name.as_str()).collect()
    }
}

/// Time from which a tombstone's data may be purged; `None` when that is later than a timestamp can be.
pub fn expiry(stone: &Tombstone, retention: std::time::Duration) -> Option<Timestamp> {
    stone.removed_at.checked_add(retention).ok()
}
