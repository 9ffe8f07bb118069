//! `dnsmasq.conf`: the resolver at the gateway's address.

use std::net::Ipv4Addr;

use berth_schema::State;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Context {
    gateway: Ipv4Addr,
    resolvers: Vec<Ipv4Addr>,
}

pub(super) fn context(state: &State) -> Context {
    Context { gateway: state.platform.networks.gateway(), resolvers: state.platform.firewall.dns.clone() }
}
