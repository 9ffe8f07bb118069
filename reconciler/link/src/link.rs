//! One link: its port in the plane, its address, and its other end.

use std::net::Ipv4Addr;

/// A link that a container of the user plane should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The name of the port, the end in the plane: at most 15 bytes.
    pub port: String,
    /// The container's address, a /32.
    pub address: Ipv4Addr,
    /// The plane's own address, which every packet goes through.
    pub gateway: Ipv4Addr,
    /// The other end.
    pub inside: Inside,
}

/// The end of a link that the container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// `eth0`, with the default route: the container has no other way out.
    Only,
    /// `plane0`, with a route to the users' subnet: the container has legs in other networks too.
    Besides {
        /// The users' subnet.
        subnet: (Ipv4Addr, u8),
    },
}

impl Link {
    /// The name of the end inside the container.
    pub fn inside_name(&self) -> &'static str {
        match self.inside {
            Inside::Only => "eth0",
            Inside::Besides { .. } => "plane0",
        }
    }

    /// The network that is reached through the link, besides the gateway itself.
    pub(crate) fn destination(&self) -> (Ipv4Addr, u8) {
        match self.inside {
            Inside::Only => (Ipv4Addr::UNSPECIFIED, 0),
            Inside::Besides { subnet } => subnet,
        }
    }

    /// The MAC address of the port. Like that of the end inside, it is made from the link's address and locally administered
    /// (IEEE 802, the second bit of the first octet), so that a link that is made again looks the same.
    pub fn port_mac(&self) -> [u8; 6] {
        self.mac(0x06)
    }

    /// The MAC address of the end inside.
    pub fn inside_mac(&self) -> [u8; 6] {
        self.mac(0x02)
    }

    fn mac(&self, first: u8) -> [u8; 6] {
        let [a, b, c, d] = self.address.octets();
        [first, 0x42, a, b, c, d]
    }
}
