//! Members of the platform's networks: who has a link to the user plane, and by which addresses.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use berth_host::RANGES;
use berth_link::{Inside, Link};
use berth_plan::Desired;
use berth_plan::spec::LinkSpec;
use berth_schema::platform::Networks;
use ipnet::Ipv4Net;

use crate::frame::Mac;

/// A container with a link.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its number among the addresses of the users' subnet, by which it is named.
    pub(crate) number: u32,
    /// An id that no server has, by which the kernel tells it from servers.
    pub(crate) id: u32,
    pub(crate) link: LinkSpec,
    pub(crate) address: Ipv4Addr,
    /// The hardware address inside.
    pub(crate) mac: Mac,
    /// The hardware address of the other end, in the plane.
    pub(crate) port_mac: Mac,
}

impl Member {
    /// Returns the member of this platform that has this address and this id.
    pub(crate) fn at(networks: &Networks, address: Ipv4Addr, id: u32) -> Self {
        let number = address.to_bits() - networks.users.network().to_bits();
        let (mac, port_mac) = macs(address);
        let gateway = networks.gateway();
        let link =
            LinkSpec { port: format!("sc{number}"), address, gateway, destination: Ipv4Net::default() };
        Self { number, id, link, address, mac, port_mac }
    }
}

/// Returns two ids that no server has: of those that can have a range of their own, the largest.
pub(crate) fn free_ids(desired: &Desired) -> [u32; 2] {
    let taken: HashSet<u32> = desired.servers.iter().map(|server| server.id.get()).collect();
    let mut free = (1..=RANGES).rev().filter(|id| !taken.contains(id));
    // Where every one is taken there is none that is nobody's.
    [free.next().unwrap_or(RANGES), free.next().unwrap_or(RANGES - 1)]
}

/// Hardware addresses of a link's ends: inside, and in the plane.
pub(crate) fn macs(address: Ipv4Addr) -> (Mac, Mac) {
    let link = Link { port: String::new(), address, gateway: Ipv4Addr::UNSPECIFIED, inside: Inside::Only };
    (link.inside_mac(), link.port_mac())
}
