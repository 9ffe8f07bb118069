//! `rules.v4`: the firewall's rules. The template holds what is the same for every server. This module adds the numbers,
//! the denied networks, and a rule in each direction for every exception, so only exceptions make the rules more.

use std::net::Ipv4Addr;

use berth_schema::State;
use berth_schema::firewall::{Exception, Ports, Protocol};
use ipnet::Ipv4Net;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Context {
    subnet: Ipv4Net,
    gateway: Ipv4Addr,
    cache: Ipv4Addr,
    resolvers: Vec<Ipv4Addr>,
    denied: Vec<Ipv4Net>,
    exceptions: Vec<Opening>,
    connections: u32,
    new_connections: u32,
    dns_queries: u32,
}

/// An exception of one server, as the matches of a rule.
#[derive(Debug, Serialize)]
struct Opening {
    port: String,
    network: Ipv4Net,
    /// Matches for packets that the server sends.
    there: String,
    /// Matches for packets that it gets back.
    back: String,
}

pub(super) fn context(state: &State) -> Context {
    let (networks, firewall) = (&state.platform.networks, &state.platform.firewall);
    let mut exceptions = Vec::new();
    for server in state.servers.values() {
        let mut allow = server.allow.clone();
        allow.sort();
        exceptions.extend(allow.iter().flat_map(|exception| {
            services(exception).into_iter().map(|service| Opening {
                port: format!("s{}", server.id),
                network: exception.network,
                there: service.matches("dport"),
                back: service.matches("sport"),
            })
        }));
    }
    Context {
        subnet: networks.users,
        gateway: networks.gateway(),
        cache: networks.cache(),
        resolvers: firewall.dns.clone(),
        denied: firewall.denied(),
        exceptions,
        connections: firewall.connections.get(),
        new_connections: firewall.new_connections.get(),
        dns_queries: firewall.dns_queries.get(),
    }
}

/// Part of an exception that one rule can match: ports need a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    All,
    Of(Protocol, Option<Ports>),
}

/// The rules that an exception needs: ports without a protocol need one for each.
pub(super) fn services(exception: &Exception) -> Vec<Service> {
    match (exception.protocol, exception.ports) {
        (None, None) => vec![Service::All],
        (Some(protocol), ports) => vec![Service::Of(protocol, ports)],
        (None, ports) => vec![Service::Of(Protocol::Tcp, ports), Service::Of(Protocol::Udp, ports)],
    }
}

impl Service {
    /// The matches of a rule, which follow an address; `end` is `dport` or `sport`.
    pub(super) fn matches(self, end: &str) -> String {
        let Self::Of(protocol, ports) = self else { return String::new() };
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        match ports {
            None => format!(" -p {protocol}"),
            Some(Ports { first, last }) if first == last => {
                format!(" -p {protocol} -m {protocol} --{end} {first}")
            }
            Some(Ports { first, last }) => format!(" -p {protocol} -m {protocol} --{end} {first}:{last}"),
        }
    }
}
