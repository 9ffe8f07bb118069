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
    /// Leaves it without a way out.
    pub internal: bool,
    /// The host's name for its bridge; `None` leaves that to the engine.
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
#[expect(missing_docs, reason = "the names say it")]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// The image reference.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    pub hostname: String,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
    /// The networks that it is on; none means that it has only its loopback.
    pub networks: Vec<String>,
    /// The container whose network namespace it is in, instead of one of its own.
    pub joins: Option<String>,
    /// Ports of the host at which it answers.
    pub publishes: Vec<Published>,
    /// Volumes, each with its path in the container.
    pub mounts: Vec<Mount>,
    /// Folders of the host, each with its path in the container. A missing one is made, for nobody but the container's
    /// root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<Bind>,
    /// Limits that the kernel enforces; `None` means no limit, whatever the image.
    pub limits: Option<Limits>,
    pub confinement: Confinement,
}

/// A TCP port of a container that is the host's as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The host's address; `None` for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
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
    /// Destinations that are reached through the link: the users' subnet, or everything.
    pub destination: Ipv4Net,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Mount {
    /// The volume's name.
    pub volume: String,
    /// The path in the container.
    pub target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A folder of the host in a container. A state can't name one: only this crate does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// The folder on the host.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Lets the container change nothing in it. It may connect to sockets there all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Users of the host who may enter it, besides root.
    pub share: Share,
}

/// Users of the host who may enter a folder that a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// The container's root alone.
    Own,
    /// The panel's group too.
    Panel,
}

/// Confinement of a container, and settings of how it runs. Servers of one platform have it in common.
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
    /// Shows `/proc` whole, which an inner Docker needs.
    pub unmask_proc: bool,
    /// Makes the root file system read-only.
    pub read_only: bool,
    /// Gives the container its own view of the cgroup tree.
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
    /// Gives it a terminal, which systemd logs to.
    pub tty: bool,
}
