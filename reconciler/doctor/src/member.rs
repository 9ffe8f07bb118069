//! Members of the platform's networks: who has a link to the user plane, and by which addresses.

use std::net::Ipv4Addr;

use berth_link::{Inside, Link};
use berth_plan::spec::LinkSpec;
use berth_schema::platform::Networks;
use ipnet::Ipv4Net;

use crate::frame::Mac;

/// A container with a link.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its number among the addresses of the users' subnet, by which it is named.
    pub(crate) number: u32,
    pub(crate) link: LinkSpec,
    pub(crate) address: Ipv4Addr,
    /// The hardware address inside.
    pub(crate) mac: Mac,
    /// The hardware address of the other end, in the plane.
    pub(crate) port_mac: Mac,
}

impl Member {
    /// Returns the member of this platform that has this address.
    pub(crate) fn at(networks: &Networks, address: Ipv4Addr) -> Self {
        let number = address.to_bits() - networks.users.network().to_bits();
        let (mac, port_mac) = macs(address);
        let gateway = networks.gateway();
        let link =
            LinkSpec { port: format!("sc{number}"), address, gateway, destination: Ipv4Net::default() };
        Self { number, link, address, mac, port_mac }
    }
}

/// Hardware addresses of a link's ends: inside, and in the plane.
pub(crate) fn macs(address: Ipv4Addr) -> (Mac, Mac) {
    let link = Link { port: String::new(), address, gateway: Ipv4Addr::UNSPECIFIED, inside: Inside::Only };
    (link.inside_mac(), link.port_mac())
}
