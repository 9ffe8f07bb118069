//! Names of everything that a platform has on an engine, and of the variables in its containers.
//!
//! Whoever looks for an object by its name, or reads a variable of a container, takes the name from here. Labels have a
//! file of their own ([`crate::label`]), and so do the files in volumes ([`crate::render::Kind::file`]).

use std::fmt::Display;

use berth_schema::name::ServerId;

/// The network that leads to the internet, as the end of its name.
pub const EXTERNAL: &str = "external";
/// The host name of the holder, and the end of its container's name.
pub const HOLDER: &str = "filtered-users";

/// Data volumes of a server: the end of each one's name, and the folder where the server finds it.
pub const DATA_VOLUMES: [(&str, &str); 3] =
    [("apps", "/apps"), ("home", "/home"), ("docker", "/var/lib/docker")];

/// Volume of a server's SSH keys: the end of its name, and the folder where the server finds it.
pub const SSH_VOLUME: (&str, &str) = ("ssh", "/etc/ssh/berth");

/// Volume of data that was restored beside a server's own: the end of its name, and the folder where the server finds it.
pub const RESTORED_VOLUME: (&str, &str) = ("restored", "/restored");

/// Variables in the environment of a platform's containers.
///
/// `berth-link` reads those of the plane while nothing else of Berth runs. It must not need this crate, and a test
/// (`tests/members.rs`) holds the two together.
#[expect(missing_docs, reason = "each is the variable of its name")]
pub mod variable {
    pub const PLANE: &str = "BERTH_PLANE";
    pub const ROLE: &str = "BERTH_PLANE_ROLE";
    pub const PORT: &str = "BERTH_PLANE_PORT";
    pub const ADDRESS: &str = "BERTH_ADDRESS";
    pub const GATEWAY: &str = "BERTH_GATEWAY";
    pub const SUBNET: &str = "BERTH_SUBNET";
    pub const CACHE: &str = "BERTH_CACHE";
    pub const SERVER_ID: &str = "BERTH_SERVER_ID";
    pub const SERVER_NAME: &str = "BERTH_SERVER_NAME";
    pub const SSH_EXEMPT: &str = "BERTH_SSH_EXEMPT";
    pub const SUPERVISOR: &str = "BERTH_SUPERVISOR";
}

/// A container of the platform itself that serves its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum Service {
    Firewall,
    Cache,
    Caddy,
    Router,
}

impl Service {
    /// The service as the end of its container's name, which is also the container's host name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Firewall => "firewall",
            Self::Cache => "dockerhub-cache",
            Self::Caddy => "caddy",
            Self::Router => "ssh-router",
        }
    }

    /// The name of its container on the platform with this prefix.
    pub fn container(self, prefix: impl Display) -> String {
        format!("{prefix}-users-{}", self.word())
    }
}

/// A variable and its value, as an environment has them.
pub(crate) fn assigned(variable: &str, value: impl Display) -> String {
    format!("{variable}={value}")
}

/// The value of a variable in an environment.
pub fn value_in<'a>(environment: &'a [String], variable: &str) -> Option<&'a str> {
    environment.iter().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='))
}

/// The container whose network namespace is the user plane.
pub fn holder(prefix: impl Display) -> String {
    format!("{prefix}-{HOLDER}")
}

/// A network with this end of its name.
pub fn network(prefix: impl Display, end: &str) -> String {
    format!("{prefix}-{end}")
}

/// The end of a network's name, if it has this prefix: the inverse of [`network`].
pub fn end_of_network<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('-')
}

/// The uplink's bridge on the host. A prefix is short enough for it (`IFNAMSIZ`).
pub fn uplink_bridge(prefix: impl Display) -> String {
    format!("br-{prefix}")
}

/// The container of a server (seed, section 3.5).
pub fn server_container(prefix: impl Display, id: ServerId) -> String {
    format!("{prefix}-users-dind-{id}")
}

/// The server whose container has this name: the inverse of [`server_container`].
pub fn server_of_container(name: &str, prefix: &str) -> Option<ServerId> {
    number(name.strip_prefix(prefix)?.strip_prefix("-users-dind-")?)
}

/// The container of a drill. Its volumes have its name, and the ends that a server's have.
pub fn drill_container(prefix: impl Display) -> String {
    format!("{prefix}-users-drill")
}

/// A volume of a server, with this end of its name.
pub fn server_volume(prefix: impl Display, id: ServerId, end: &str) -> String {
    format!("{}-{end}", server_container(prefix, id))
}

/// Returns whether this is the name of that volume. Every pass asks it of every server, so it builds no name.
pub(crate) fn is_server_volume(name: &str, prefix: &str, id: ServerId, end: &str) -> bool {
    let container = name.strip_suffix(end).and_then(|name| name.strip_suffix('-'));
    container.and_then(|name| server_of_container(name, prefix)) == Some(id)
}

/// The empty volume that marks a removed server.
pub fn tombstone_volume(prefix: impl Display, id: ServerId) -> String {
    server_volume(prefix, id, "tombstone")
}

/// The port of a server in the user plane.
pub fn server_port(id: ServerId) -> String {
    format!("s{id}")
}

/// The server whose port this is: the inverse of [`server_port`].
pub fn server_of_port(port: &str) -> Option<ServerId> {
    number(port.strip_prefix('s')?)
}

/// Parses a number, which has one spelling only: otherwise `+7` and `07` would be 7 too.
fn number(digits: &str) -> Option<ServerId> {
    if digits.starts_with(['+', '0']) { None } else { digits.parse().ok().map(ServerId) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use super::*;

    fn id(number: u32) -> ServerId {
        ServerId(number.try_into().unwrap())
    }

    #[test]
    fn a_volume_is_known_by_its_name_and_nothing_like_it_is() {
        for number in [1, 7, 10, u32::MAX] {
            let name = server_volume("hosting", id(number), "ssh");
            assert!(is_server_volume(&name, "hosting", id(number), "ssh"), "{name}");
            assert!(!is_server_volume(&name, "hosting", id(number), "home"), "{name}");
            assert!(!is_server_volume(&name, "hosting", id(77), "ssh"), "{name}");
            assert!(!is_server_volume(&name, "host", id(number), "ssh"), "{name}");
        }
        for name in ["07-ssh", "+7-ssh", "7ssh", "7--ssh", "7-ssh ", "-ssh", "7", ""] {
            assert!(
                !is_server_volume(&format!("hosting-users-dind-{name}"), "hosting", id(7), "ssh"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_container_tells_its_server_and_other_containers_tell_none() {
        for number in [1, 16, u32::MAX] {
            assert_eq!(server_of_container(&server_container("b", id(number)), "b"), Some(id(number)));
            assert_eq!(server_of_port(&server_port(id(number))), Some(id(number)));
        }
        let services = [Service::Firewall, Service::Cache, Service::Caddy, Service::Router];
        for name in services.map(|service| service.container("b")).into_iter().chain([holder("b")]) {
            assert_eq!(server_of_container(&name, "b"), None, "{name}");
        }
        for port in ["caddy", "cache", "router", "sp13", "s", "s0", "s07", "s+7", "s-7", "s4294967296"] {
            assert_eq!(server_of_port(port), None, "{port}");
        }
    }

    #[test]
    fn a_variable_is_read_as_it_was_written() {
        let environment = [assigned(variable::PLANE, "b"), assigned(variable::PORT, "s1")];
        assert_eq!(value_in(&environment, variable::PLANE), Some("b"));
        assert_eq!(value_in(&environment, variable::PORT), Some("s1"));
        assert_eq!(value_in(&environment, variable::ROLE), None);
    }
}
