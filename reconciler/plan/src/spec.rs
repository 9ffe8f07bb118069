//! Specifications: the exact options with which a network, a volume or a container is made.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use berth_schema::server::Limits;
use ipnet::Ipv4Net;
use serde::Serialize;

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Whether it has no way out.
    pub internal: bool,
    /// What the host calls its bridge; `None` leaves that to the engine.
    pub bridge: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeSpec {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A container to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// The image reference.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it calls itself.
    pub hostname: String,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
    /// The networks that it is on; none means that it has only its loopback.
    pub networks: Vec<String>,
    /// The container whose network namespace it is in, instead of one of its own.
    pub joins: Option<String>,
    /// Ports that it answers on all of the host's addresses.
    pub publishes: Vec<Published>,
    /// Volumes and where they appear.
    pub mounts: Vec<Mount>,
    /// Folders of the host and where they appear. Made when they are missing, for nobody but the container's root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<Bind>,
    /// What the kernel lets it use. `None`: the image decides nothing, no limit.
    pub limits: Option<Limits>,
    /// How it is confined.
    pub confinement: Confinement,
}

/// A TCP port of a container that is the host's as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The port on the host.
    pub host: u16,
    /// The port in the container.
    pub container: u16,
}

/// A link to the user plane that a container should have (docs/decisions/0009-user-plane.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkSpec {
    /// The name of the end in the plane.
    pub port: String,
    /// The container's address.
    pub address: Ipv4Addr,
    /// The plane's own address.
    pub gateway: Ipv4Addr,
    /// What goes through the link: the users' subnet, or everything.
    pub destination: Ipv4Net,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The volume's name.
    pub volume: String,
    /// The path in the container.
    pub target: String,
    /// Whether the container may only read it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A folder of the host in a container. State names none: there are those that are written in this crate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// The folder on the host.
    pub source: String,
    /// The path in the container.
    pub target: String,
}

/// How a container is confined and run: what servers of one platform have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Confinement {
    /// The OCI runtime; `None` is the engine's default.
    pub runtime: Option<String>,
    /// The user namespace mode: empty is the engine's mapping, `host` is none.
    pub userns_mode: String,
    /// Capabilities on top of those left by `cap_drop`.
    pub cap_add: Vec<String>,
    /// Capabilities taken away.
    pub cap_drop: Vec<String>,
    /// Security options, such as `seccomp=unconfined`.
    pub security_opt: Vec<String>,
    /// Whether `/proc` is shown whole, which an inner Docker needs.
    pub unmask_proc: bool,
    /// Whether the root file system can't be written.
    pub read_only: bool,
    /// Whether the container has its own view of the cgroup tree.
    pub private_cgroup: bool,
    /// Memory file systems, with their options.
    pub tmpfs: BTreeMap<String, String>,
    /// Kernel settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// The signal that asks it to stop.
    pub stop_signal: Option<String>,
    /// Seconds that it gets to stop.
    pub stop_timeout: u32,
    /// Whether it has a terminal, which systemd logs to.
    pub tty: bool,
}

/// A short fingerprint of anything that can be written as JSON: what a label compares instead of the thing.
pub fn fingerprint(value: &impl Serialize) -> String {
    // Writing our own structs as JSON can't fail; were it to, the empty text is a fingerprint that matches nothing
    // that was ever made, so the object would be shown as outdated rather than as unchanged.
    let text = serde_json::to_vec(value).unwrap_or_default();
    blake3::hash(&text).to_hex()[..16].to_owned()
}
