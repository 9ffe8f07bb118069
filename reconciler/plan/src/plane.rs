//! The user plane's addresses, ports and links: which container has which, and the environment that says so
//! (docs/decisions/0009-user-plane.md).
//!
//! A container's runtime links it by its environment, while nothing else of Berth runs. Everything here follows
//! from the platform's settings and a server's number, so nothing that happens to other servers moves an address.

use std::net::Ipv4Addr;

use berth_schema::name::ServerId;
use berth_schema::platform::Platform;
use ipnet::Ipv4Net;

use crate::names::{assigned, server_port, variable};
use crate::spec::LinkSpec;

/// The port of the web server.
pub const CADDY: &str = "caddy";
/// The port of the image cache.
pub const CACHE: &str = "cache";
/// The port of the SSH router.
pub const ROUTER: &str = "router";
/// The port from which Berth itself tries what a server may reach. It begins like a server's, and is treated as one.
pub const PROBE: &str = "sp13";

/// The file, beside the confirmed rules, that holds them as the kernel lists them. The rules in force are compared
/// with it.
pub const LISTED: &str = "rules.v4.listed";

/// The link of a server. `None` when the subnet has no room for it, which never happens in an accepted state.
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
        assigned(variable::PLANE, &platform.prefix),
        assigned(variable::ROLE, "holder"),
        assigned(variable::GATEWAY, platform.networks.gateway()),
        assigned(variable::SUBNET, platform.networks.users),
    ]
}

/// The environment of a server.
pub fn server_environment(platform: &Platform, link: &LinkSpec) -> Vec<String> {
    let mut environment = linked(platform, "server", link);
    if platform.services.cache {
        environment.push(assigned(variable::CACHE, platform.networks.cache()));
    }
    environment
}

/// The environment of one of the platform's own containers.
pub fn service_environment(platform: &Platform, link: &LinkSpec) -> Vec<String> {
    let mut environment = linked(platform, "service", link);
    environment.push(assigned(variable::SUBNET, platform.networks.users));
    environment
}

fn linked(platform: &Platform, role: &str, link: &LinkSpec) -> Vec<String> {
    vec![
        assigned(variable::PLANE, &platform.prefix),
        assigned(variable::ROLE, role),
        assigned(variable::PORT, &link.port),
        assigned(variable::ADDRESS, link.address),
        assigned(variable::GATEWAY, link.gateway),
    ]
}
