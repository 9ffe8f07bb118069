//! Desired: what a state says should exist on the engine.

use std::sync::Arc;

use berth_schema::State;
use berth_schema::name::{ImageRef, Prefix, ServerId};
use berth_schema::platform::{Platform, RemovalBudget};
use berth_schema::server::{Limits, Server};

use crate::label::{self, Tag};
use crate::recipe;
use crate::spec::{Confinement, ContainerSpec, Mount, NetworkSpec, VolumeSpec, fingerprint};

/// What should exist, ready to be compared. Building it costs little: a server's full specification is only written
/// out when the server has to be made.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The settings that it comes from.
    pub platform: Arc<Platform>,
    /// The networks.
    pub networks: Vec<NetworkSpec>,
    /// The platform's own containers.
    pub system: Vec<ContainerSpec>,
    /// The servers, by id.
    pub servers: Vec<Arc<Server>>,
    /// How every server is confined.
    pub confinement: Confinement,
    /// The fingerprint of `confinement`, which every server's container carries as a label.
    pub confinement_spec: String,
}

/// The data volumes of a server: the end of the volume's name, and where it appears in the server.
pub const DATA_VOLUMES: [(&str, &str); 3] =
    [("apps", "/apps"), ("home", "/home"), ("docker", "/var/lib/docker")];

impl Desired {
    /// What `state` says should exist.
    pub fn from_state(state: &State) -> Self {
        let platform = Arc::clone(&state.platform);
        let confinement = recipe::confinement(&platform);
        let confinement_spec = fingerprint(&confinement);
        Self {
            networks: networks(&platform),
            system: system(&platform),
            servers: state.servers.values().map(Arc::clone).collect(),
            confinement,
            confinement_spec,
            platform,
        }
    }

    /// The platform's prefix, which is also the value of its label.
    pub fn prefix(&self) -> &Prefix {
        &self.platform.prefix
    }

    /// How much one revision may remove.
    pub fn removal_budget(&self) -> RemovalBudget {
        self.platform.removal_budget
    }

    /// The limits that hold for a server.
    pub fn limits(&self, server: &Server) -> Limits {
        server.limits(&self.platform.defaults)
    }

    /// The image that a server is made of when it is made.
    pub fn image<'a>(&'a self, server: &'a Server) -> &'a ImageRef {
        server.image.as_ref().unwrap_or(&self.platform.images.server)
    }

    /// The container of a server.
    pub fn server_spec(&self, server: &Server) -> ContainerSpec {
        let image = self.image(server).to_string();
        let tag = Tag::Server {
            id: server.id,
            name: server.name.to_string(),
            owner: server.owner.to_string(),
            image: image.clone(),
            spec: self.confinement_spec.clone(),
        };
        ContainerSpec {
            name: server_container(self.prefix(), server.id),
            image,
            labels: tag.write(self.prefix()),
            hostname: server.name.to_string(),
            env: vec![
                "container=docker".to_owned(),
                format!("BERTH_SERVER_ID={}", server.id),
                format!("BERTH_SERVER_NAME={}", server.name),
            ],
            networks: Vec::new(),
            mounts: DATA_VOLUMES
                .iter()
                .map(|(end, target)| Mount {
                    volume: data_volume(self.prefix(), server.id, end),
                    target: (*target).to_owned(),
                })
                .collect(),
            limits: Some(self.limits(server)),
            confinement: self.confinement.clone(),
        }
    }

    /// The data volumes of a server.
    pub fn data_volumes(&self, server: &Server) -> Vec<VolumeSpec> {
        let tag = Tag::Data { id: server.id, name: server.name.to_string(), owner: server.owner.to_string() };
        DATA_VOLUMES
            .iter()
            .map(|(end, _)| VolumeSpec {
                name: data_volume(self.prefix(), server.id, end),
                labels: tag.write(self.prefix()),
            })
            .collect()
    }
}

/// The name of a server's container (seed, section 3.5).
pub fn server_container(prefix: &Prefix, id: ServerId) -> String {
    format!("{prefix}-users-dind-{id}")
}

/// The name of a server's data volume.
pub fn data_volume(prefix: &Prefix, id: ServerId, end: &str) -> String {
    format!("{prefix}-users-dind-{id}-{end}")
}

/// The name of the empty volume that marks a removed server.
pub fn tombstone_volume(prefix: &Prefix, id: ServerId) -> String {
    format!("{prefix}-users-dind-{id}-tombstone")
}

fn networks(platform: &Platform) -> Vec<NetworkSpec> {
    let networks = &platform.networks;
    [
        ("external", networks.external, false),
        ("isolated-control-panel", networks.control_panel, true),
        ("isolated-control-docker", networks.control_docker, true),
    ]
    .into_iter()
    .map(|(end, subnet, internal)| {
        let name = format!("{}-{end}", platform.prefix);
        let spec = fingerprint(&(&name, subnet, internal));
        let mut labels = Tag::System { spec }.write(&platform.prefix);
        labels.insert(label::KIND.to_owned(), label::KIND_NETWORK.to_owned());
        NetworkSpec { name, subnet, internal, labels }
    })
    .collect()
}

/// The platform's own containers: today the holder of the user plane's network namespace, which forwards nothing
/// until the firewall joins it.
fn system(platform: &Platform) -> Vec<ContainerSpec> {
    let holder = ContainerSpec {
        name: format!("{}-filtered-users", platform.prefix),
        image: platform.images.holder.to_string(),
        labels: Default::default(),
        hostname: "filtered-users".to_owned(),
        env: Vec::new(),
        networks: vec![format!("{}-external", platform.prefix)],
        mounts: Vec::new(),
        limits: Some(Limits { nano_cpus: 100_000_000, memory: 16 << 20, pids: 16 }),
        confinement: Confinement {
            cap_drop: vec!["ALL".to_owned()],
            security_opt: vec!["no-new-privileges".to_owned()],
            read_only: true,
            sysctls: [
                ("net.ipv4.ip_forward", "0"),
                ("net.ipv6.conf.all.disable_ipv6", "1"),
                ("net.ipv6.conf.default.disable_ipv6", "1"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            stop_timeout: 5,
            ..Confinement::default()
        },
    };
    vec![tagged(holder, &platform.prefix)]
}

/// A system container with the labels that carry its own fingerprint.
fn tagged(mut spec: ContainerSpec, platform: &Prefix) -> ContainerSpec {
    spec.labels = Tag::System { spec: fingerprint(&spec) }.write(platform);
    spec
}
