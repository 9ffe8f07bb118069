//! Changes that people and accidents make to an engine behind the platform's back.

use std::collections::BTreeMap;

use crate::digest::digest;
use crate::label;
use crate::names;
use crate::observed::{HostRules, RunState};
use crate::simulate::{Container, Network, Volume, World};

impl World {
    /// Adds a container that somebody made by hand, with these labels.
    pub fn place_container(&mut self, name: &str, labels: BTreeMap<String, String>, state: RunState) {
        let id = self.next_id();
        let namespace = self.next();
        let container = Container {
            id,
            image: String::new(),
            labels,
            state,
            limits: None,
            networks: Vec::new(),
            volumes: Vec::new(),
            joins: None,
            port: None,
            namespace,
            linked_to: None,
            resolver: None,
        };
        self.containers.insert(name.to_owned(), container);
    }

    /// Adds a volume that somebody made by hand, with these labels.
    pub fn place_volume(&mut self, name: &str, labels: BTreeMap<String, String>) {
        let content = self.next();
        self.volumes.insert(name.to_owned(), Volume { content, labels, files: BTreeMap::new() });
    }

    /// Adds a network that somebody made by hand, with these labels.
    pub fn place_network(&mut self, name: &str, labels: BTreeMap<String, String>) {
        let id = self.next_id();
        self.networks.insert(id, Network { name: name.to_owned(), subnet: None, labels });
    }

    /// Puts a container into a state. Returns whether there is one.
    pub fn set_state(&mut self, container: &str, state: RunState) -> bool {
        self.containers.get_mut(container).map(|found| found.state = state).is_some()
    }

    /// Takes a container's link away, as root in it can. Returns whether there was one.
    pub fn cut_link(&mut self, container: &str) -> bool {
        self.containers.get_mut(container).is_some_and(|found| found.linked_to.take().is_some())
    }

    /// Writes a configuration in a volume by hand. Returns whether there is such a volume.
    pub fn edit_file(&mut self, volume: &str, file: &str, text: &str) -> bool {
        let found = self.volumes.get_mut(volume);
        found.map(|found| found.files.insert(file.to_owned(), digest(text.as_bytes()))).is_some()
    }

    /// Loads rules in a platform's plane by hand, as a pass does that is cut off before they are confirmed. Returns
    /// whether there is a plane.
    pub fn load_rules(&mut self, platform: &str, text: &str) -> bool {
        let namespace = self.plane_namespace(&names::holder(platform));
        namespace.map(|namespace| self.rules.insert(namespace, digest(text.as_bytes()))).is_some()
    }

    /// Gives the gateway's resolver another configuration by hand. Returns whether there is a gateway.
    pub fn load_names(&mut self, container: &str, text: &str) -> bool {
        let found = self.containers.get_mut(container);
        found.map(|found| found.resolver = Some(digest(text.as_bytes()))).is_some()
    }

    /// Gives somebody more SSH sessions.
    pub fn open_sessions(&mut self, user: &str, count: u32) {
        *self.sessions.get_or_insert_default().0.entry(user.to_owned()).or_default() += count;
    }

    /// Changes the platform's chains on the host by hand. Returns whether there were any.
    pub fn change_host_rules(&mut self) -> bool {
        std::mem::replace(&mut self.host_rules, HostRules::Altered) != HostRules::Absent
    }

    /// Makes a server one that was made before there were SSH keys. Returns whether there is one with keys.
    pub fn lose_keys(&mut self, server: &str) -> bool {
        let volume = format!("{server}-ssh");
        let found = self.containers.get_mut(server).map(|found| found.volumes.retain(|name| *name != volume));
        found.is_some() && self.volumes.remove(&volume).is_some()
    }

    /// Makes another image under the reference that a container was made of. Returns whether there is one.
    pub fn rebuild_image(&mut self, container: &str) -> bool {
        self.containers.get_mut(container).map(|found| found.image = "sha256:0".to_owned()).is_some()
    }

    /// Renames a container. Returns whether there is one, and the new name is free.
    pub fn rename_container(&mut self, from: &str, to: &str) -> bool {
        if self.containers.contains_key(to) {
            return false;
        }
        let found = self.containers.remove(from);
        found.map(|container| self.containers.insert(to.to_owned(), container)).is_some()
    }

    /// Labels an object as made from another specification than today's. Returns whether there is one.
    pub fn outdate(&mut self, name: &str) -> bool {
        self.relabel(name, label::SPEC, "0000000000000000")
    }

    /// Writes a label of the container, the volume or the network of this name. Returns whether there is one.
    pub fn relabel(&mut self, name: &str, key: &str, value: &str) -> bool {
        let container = self.containers.get_mut(name).map(|container| &mut container.labels);
        let volume = self.volumes.get_mut(name).map(|volume| &mut volume.labels);
        let network = self.networks.values_mut().find(|network| network.name == name);
        let labels = container.or(volume).or(network.map(|network| &mut network.labels));
        labels.map(|labels| labels.insert(key.to_owned(), value.to_owned())).is_some()
    }

    /// Takes away the container of this name, as `docker rm -f` does. Returns whether there was one.
    pub fn lose_container(&mut self, name: &str) -> bool {
        self.containers.remove(name).is_some()
    }

    /// Takes away the volume of this name, if no container has it. Returns whether it is gone.
    pub fn lose_volume(&mut self, name: &str) -> bool {
        self.remove_volume(name).is_ok()
    }

    /// Takes away the network of this name, from under whatever is on it. Returns whether there was one.
    pub fn lose_network(&mut self, name: &str) -> bool {
        let before = self.networks.len();
        self.networks.retain(|_, network| network.name != name);
        self.networks.len() < before
    }
}
