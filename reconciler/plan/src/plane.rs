//! The user plane's addresses, ports and links: which container has which, and the environment that says so
//! (docs/decisions/0009-user-plane.md).
//!
//! The environment is what a container's runtime links it by while nothing else of Berth runs. Everything here follows
//! from the platform's settings and a server's number, so nothing that happens to other servers moves an address.

use std::net::Ipv4Addr;

use berth_schema::name::{Prefix, ServerId};
use berth_schema::platform::Platform;
use ipnet::Ipv4Net;

use crate::spec::LinkSpec;

/// The port of the web server.
pub const CADDY: &str = "caddy";
/// The port of the image cache.
pub const CACHE: &str = "cache";
/// The port of the SSH router.
pub const ROUTER: &str = "router";
/// The port from which Berth itself tries what a server may reach. It begins like a server's, and is treated as one.
pub const PROBE: &str = "sp13";

/// The file, beside the confirmed rules, that holds them as the kernel lists them: what is in force is compared with it.
pub const LISTED: &str = "rules.v4.listed";

/// The name of the container that is the gateway, and of its volume.
pub fn gateway(prefix: &Prefix) -> String {
    format!("{prefix}-users-firewall")
}

/// The name of the container whose network namespace is the plane.
pub fn holder(prefix: &Prefix) -> String {
    format!("{prefix}-filtered-users")
}

/// The port of a server.
pub fn server_port(id: ServerId) -> String {
    format!("s{id}")
}

/// The server whose port this is: the inverse of [`server_port`].
pub fn server_of_port(port: &str) -> Option<ServerId> {
    let number = port.strip_prefix('s')?;
    // A number has one spelling, or `s+7` and `s07` would be the port of 7 too.
    if number.starts_with(['+', '0']) { None } else { number.parse().ok().map(ServerId) }
}

/// The link of a server. `None` when the subnet has no room for it, which a state that was accepted never says.
pub fn server_link(platform: &Platform, id: ServerId) -> Option<LinkSpec> {
    let address = platform.networks.address(id)?;
    Some(LinkSpec { destination: Ipv4Net::default(), ..link(platform, server_port(id), address) })
}

/// The link of one of the platform's own containers, which has legs in other networks too.
pub fn service_link(platform: &Platform, port: &str, address: Ipv4Addr) -> LinkSpec {
    LinkSpec { destination: platform.networks.users, ..link(platform, port.to_owned(), address) }
}

/// The link of Berth's own probe, which sees what a server sees.
pub fn probe_link(platform: &Platform) -> LinkSpec {
    let address = platform.networks.probe();
    LinkSpec { destination: Ipv4Net::default(), ..link(platform, PROBE.to_owned(), address) }
}

fn link(platform: &Platform, port: String, address: Ipv4Addr) -> LinkSpec {
    LinkSpec { port, address, gateway: platform.networks.gateway(), destination: Ipv4Net::default() }
}

/// The environment of the holder.
pub fn holder_environment(platform: &Platform) -> Vec<String> {
    vec![
        format!("BERTH_PLANE={}", platform.prefix),
        "BERTH_PLANE_ROLE=holder".to_owned(),
        format!("BERTH_GATEWAY={}", platform.networks.gateway()),
        format!("BERTH_SUBNET={}", platform.networks.users),
    ]
}

/// The environment of a server.
pub fn server_environment(platform: &Platform, link: &LinkSpec) -> Vec<String> {
    let mut environment = linked(platform, "server", link);
    if platform.services.cache {
        environment.push(format!("BERTH_CACHE={}", platform.networks.cache()));
    }
    environment
}

/// The environment of one of the platform's own containers.
pub fn service_environment(platform: &Platform, link: &LinkSpec) -> Vec<String> {
    let mut environment = linked(platform, "service", link);
    environment.push(format!("BERTH_SUBNET={}", platform.networks.users));
    environment
}

fn linked(platform: &Platform, role: &str, link: &LinkSpec) -> Vec<String> {
    vec![
        format!("BERTH_PLANE={}", platform.prefix),
        format!("BERTH_PLANE_ROLE={role}"),
        format!("BERTH_PLANE_PORT={}", link.port),
        format!("BERTH_ADDRESS={}", link.address),
        format!("BERTH_GATEWAY={}", link.gateway),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use super::*;

    #[test]
    fn a_port_tells_its_server_and_other_ports_tell_none() {
        for number in [1, 16, u32::MAX] {
            let id = ServerId(number.try_into().unwrap());
            assert_eq!(server_of_port(&server_port(id)), Some(id));
        }
        for port in [CADDY, CACHE, ROUTER, PROBE, "s", "s0", "s07", "s+7", "s-7", "s4294967296"] {
            assert_eq!(server_of_port(port), None, "{port}");
        }
    }
}
