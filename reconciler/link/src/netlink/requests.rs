//! The requests that links need.

use std::io;
use std::net::Ipv4Addr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};

use super::Netlink;
use crate::link::Link;
use crate::namespace::Namespace;

/// `ENODEV`.
const NO_DEVICE: i32 = 19;

/// A network interface, as far as links need it.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: [u8; 6],
    pub(crate) is_veth: bool,
    pub(crate) is_up: bool,
    /// Packets that it is given are sent. The kernel turns that on a moment after both ends of a veth are up.
    pub(crate) carries: bool,
    /// The index of a veth's other end, in that end's namespace.
    pub(crate) peer: Option<u32>,
    /// The namespace of a veth's other end, by the number that this namespace knows it by.
    pub(crate) peer_namespace: Option<i32>,
}

impl Interface {
    fn of(message: &LinkMessage) -> Self {
        let mut interface = Self {
            index: message.header.index,
            name: String::new(),
            mac: [0; 6],
            is_veth: false,
            is_up: message.header.flags.contains(LinkFlags::Up),
            carries: false,
            peer: None,
            peer_namespace: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::Address(mac) => {
                    interface.mac = mac.as_slice().try_into().unwrap_or_default();
                }
                LinkAttribute::LinkInfo(infos) => {
                    interface.is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
                }
                LinkAttribute::OperState(state) => interface.carries = *state == State::Up,
                LinkAttribute::Link(index) => interface.peer = Some(*index),
                LinkAttribute::LinkNetNsId(id) => interface.peer_namespace = Some(*id),
                _ => {}
            }
        }
        interface
    }

    /// Returns whether the engine made it: a leg in one of its own networks is called `eth<number>`.
    pub(crate) fn is_leg(&self) -> bool {
        self.name.starts_with("eth")
    }

    /// The address that its MAC address was made from.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        match self.mac {
            [0x06, 0x42, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
            _ => None,
        }
    }
}

impl Netlink {
    /// The interface of that name.
    pub(crate) fn link(&mut self, name: &str) -> io::Result<Option<Interface>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.get(Message::GetLink(message)) {
            Ok(answers) => Ok(answers.iter().find_map(|answer| match answer {
                Message::NewLink(link) => Some(Interface::of(link)),
                _ => None,
            })),
            Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All interfaces.
    pub(crate) fn links(&mut self) -> io::Result<Vec<Interface>> {
        let answers = self.list(Message::GetLink(LinkMessage::default()))?;
        let links = answers.iter().filter_map(|answer| match answer {
            Message::NewLink(link) => Some(Interface::of(link)),
            _ => None,
        });
        Ok(links.collect())
    }

    /// Removes the interface of that name, if there is one.
    pub(crate) fn remove_link(&mut self, name: &str) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.change(Message::DelLink(message), 0) {
            Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(()),
            done => done,
        }
    }

    /// Makes the port here and the other end in the container's namespace.
    pub(crate) fn make_pair(&mut self, link: &Link, container: &Namespace) -> io::Result<()> {
        let mut inside = LinkMessage::default();
        inside.attributes.extend([
            LinkAttribute::IfName(link.inside_name().to_owned()),
            LinkAttribute::Address(link.inside_mac().to_vec()),
            LinkAttribute::NetNsFd(container.descriptor()),
        ]);
        let mut port = LinkMessage::default();
        port.attributes.extend([
            LinkAttribute::IfName(link.port.clone()),
            LinkAttribute::Address(link.port_mac().to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inside))),
            ]),
        ]);
        self.change(Message::NewLink(port), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Switches an interface on. One that is `mute` neither asks nor answers by ARP.
    pub(crate) fn set_up(&mut self, index: u32, mute: bool) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let flags = if mute { LinkFlags::Up | LinkFlags::Noarp } else { LinkFlags::Up };
        message.header.flags = flags;
        message.header.change_mask = flags;
        self.change(Message::SetLink(message), 0)
    }

    /// Gives an interface an address of its own, as a /32.
    pub(crate) fn set_address(&mut self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = 32;
        message.header.scope = AddressScope::Universe;
        message.header.index = index;
        message
            .attributes
            .extend([AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())]);
        self.change(Message::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Routes a network through an interface, directly or over `gateway`.
    pub(crate) fn set_route(
        &mut self,
        index: u32,
        (network, length): (Ipv4Addr, u8),
        gateway: Option<Ipv4Addr>,
    ) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: AddressFamily::Inet,
            destination_prefix_length: length,
            table: RouteHeader::RT_TABLE_MAIN,
            protocol: RouteProtocol::Static,
            scope: if gateway.is_some() { RouteScope::Universe } else { RouteScope::Link },
            kind: RouteType::Unicast,
            ..RouteHeader::default()
        };
        message.attributes.push(RouteAttribute::Oif(index));
        if length > 0 {
            message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(network)));
        }
        if let Some(gateway) = gateway {
            message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
        }
        self.change(Message::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Fixes the MAC address of a neighbour: it is never asked for, and never forgotten.
    pub(crate) fn set_neighbour(&mut self, index: u32, address: Ipv4Addr, mac: [u8; 6]) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.header.kind = RouteType::Unicast;
        message.attributes.extend([
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
            NeighbourAttribute::LinkLocalAddress(mac.to_vec()),
        ]);
        self.change(Message::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// The addresses that have a route of their own, each with the index of the interface that it leads to.
    pub(crate) fn routed(&mut self) -> io::Result<Vec<(Ipv4Addr, u32)>> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        let answers = self.list(Message::GetRoute(message))?;
        let routes = answers.iter().filter_map(|answer| match answer {
            Message::NewRoute(route)
                if route.header.table == RouteHeader::RT_TABLE_MAIN
                    && route.header.destination_prefix_length == 32 =>
            {
                let destination = route.attributes.iter().find_map(|attribute| match attribute {
                    RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
                    _ => None,
                })?;
                let index = route.attributes.iter().find_map(|attribute| match attribute {
                    RouteAttribute::Oif(index) => Some(*index),
                    _ => None,
                })?;
                Some((destination, index))
            }
            _ => None,
        });
        Ok(routes.collect())
    }

    /// The number by which this namespace knows another one. `None` when it doesn't know it: no link leads there.
    pub(crate) fn id_of(&mut self, namespace: &Namespace) -> io::Result<Option<i32>> {
        let mut message = NsidMessage::default();
        let descriptor = u32::try_from(namespace.descriptor()).map_err(io::Error::other)?;
        message.attributes.push(NsidAttribute::Fd(descriptor));
        let answers = self.get(Message::GetNsId(message))?;
        let ids = answers.iter().filter_map(|answer| match answer {
            Message::NewNsId(found) => found.attributes.iter().find_map(|attribute| match attribute {
                NsidAttribute::Id(id) => Some(*id),
                _ => None,
            }),
            _ => None,
        });
        Ok(ids.into_iter().find(|id| *id >= 0))
    }
}
