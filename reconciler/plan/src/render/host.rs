//! `host.v4`: the platform's own chains on the host, and the jumps that lead into them.
//!
//! The text replaces the content of those chains and nothing else. A text for `iptables-restore` can't add a jump only
//! where it is missing, so jumps are commands: each can be asked for, made and taken away.

use std::net::Ipv4Addr;

use berth_schema::State;
use berth_schema::name::Prefix;
use ipnet::Ipv4Net;
use serde::Serialize;

use super::firewall::services;
use crate::names::uplink_bridge;

#[derive(Debug, Serialize)]
pub(super) struct Context {
    bridge: String,
    input: String,
    forward: String,
    published: Vec<u16>,
    resolvers: Vec<Ipv4Addr>,
    denied: Vec<Ipv4Net>,
    exceptions: Vec<Opening>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Opening {
    network: Ipv4Net,
    there: String,
}

pub(super) fn context(state: &State) -> Context {
    let (platform, firewall) = (&state.platform, &state.platform.firewall);
    let denied = firewall.denied();
    let [input, forward] = chains(&platform.prefix);
    // Servers share one address on the uplink: which of them may is for the plane's firewall, which comes first.
    let allowed = state.servers.values().flat_map(|server| &server.allow);
    let mut exceptions: Vec<Opening> = allowed
        .filter(|exception| denied.iter().any(|network| overlap(network, &exception.network)))
        .flat_map(|exception| {
            services(exception).into_iter().map(move |service| (exception.network, service))
        })
        .map(|(network, service)| Opening { network, there: service.matches("dport") })
        .collect();
    exceptions.sort();
    exceptions.dedup();
    let is_denied = |address: &Ipv4Addr| denied.iter().any(|network| network.contains(address));
    Context {
        bridge: uplink_bridge(&platform.prefix),
        input,
        forward,
        published: published(state),
        resolvers: firewall.dns.iter().copied().filter(is_denied).collect(),
        denied,
        exceptions,
    }
}

fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}

/// The ports of the host that the platform publishes, which servers may use like everybody else.
pub fn published(state: &State) -> Vec<u16> {
    let platform = &state.platform;
    let mut ports = Vec::new();
    if platform.services.web {
        ports.extend([platform.web.http_port.get(), platform.web.https_port.get()]);
    }
    if platform.services.router {
        ports.push(platform.ssh.port.get());
    }
    ports
}

/// The platform's own chains in the host's table `filter`: for packets to the host, and for packets through it. A name
/// has at most 26 bytes; a chain's name can have 28.
pub fn chains(prefix: &Prefix) -> [String; 2] {
    [format!("berth-{prefix}-input"), format!("berth-{prefix}-forward")]
}

/// A rule that leads from one of the host's chains to one of ours. It belongs at the top of the first chain in `from`
/// that exists: the engine puts its own rules above those in `FORWARD`, never above those in `DOCKER-USER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The host's chain: the first of these that exists.
    pub from: &'static [&'static str],
    /// The rule: its match and its target.
    pub rule: Vec<String>,
}

/// The jumps of a platform. Its chains must exist first.
pub fn jumps(prefix: &Prefix) -> [Jump; 2] {
    let [input, forward] = chains(prefix);
    let rule = |chain: String| vec!["-i".to_owned(), uplink_bridge(prefix), "-j".to_owned(), chain];
    [
        Jump { from: &["INPUT"], rule: rule(input) },
        Jump { from: &["DOCKER-USER", "FORWARD"], rule: rule(forward) },
    ]
}

/// The text for `iptables-restore --noflush` that removes the chains, once no jump leads to them.
pub fn removal(prefix: &Prefix) -> String {
    let [input, forward] = chains(prefix);
    format!("*filter\n:{input} - [0:0]\n:{forward} - [0:0]\n-X {input}\n-X {forward}\nCOMMIT\n")
}
