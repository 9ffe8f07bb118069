//! Parts of which the attempts of several groups are made.

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::suite::Mark;
use crate::attempt::{Act, Place, Proof};
use crate::frame::{self, IPV4, Ipv4, Mac};
use crate::scene::Scene;

/// The reason for which attempts that need an internet are made in a lab alone.
pub(super) const CONTACTS_OTHERS: &str = "would contact somebody outside the platform";

/// Number of entries that a table may get by itself, such as for the way to the internet.
pub(super) const SOME: usize = 16;

/// Frames a packet for the plane's end of the attacker's link.
pub(super) fn on_link(scene: &Scene, packet: &[u8]) -> Vec<u8> {
    frame::ethernet(scene.attacker.port_mac, scene.attacker.mac, IPV4, packet)
}

/// Proofs that a token arrived anywhere but on the attacker's own link.
pub(super) fn seen_elsewhere(scene: &Scene) -> Vec<Proof> {
    let elsewhere = [
        Place::Neighbour,
        Place::Host,
        Place::Caddy,
        Place::Router,
        Place::Cache,
        Place::Control,
        Place::Outside,
    ];
    elsewhere.into_iter().filter(|place| scene.has(*place)).map(Proof::Seen).collect()
}

/// Proof that Caddy no longer reaches the neighbour.
pub(super) fn not_served(scene: &Scene) -> Option<Proof> {
    let to = (scene.neighbour.address, 80);
    scene.has(Place::Caddy).then_some(Proof::NotServed { place: Place::Caddy, to })
}

/// Makes packets to `target` that are to take the way over a hop: by a source route, and by the hop's hardware address,
/// which would do on a shared wire alone.
pub(super) fn by_way_of(
    scene: &Scene,
    hop: (Ipv4Addr, Mac),
    target: (Ipv4Addr, u16),
    mark: &Mark,
) -> Vec<Vec<u8>> {
    let (own, token) = (&scene.attacker, mark.token.as_bytes());
    let from = (own.address, mark.port);
    let carried =
        [(17, frame::udp_datagram(from, target, token)), (6, frame::tcp_segment(from, target, token))];
    let packets = carried.into_iter().flat_map(|(protocol, payload)| {
        let header = Ipv4::new(from.0, target.0, protocol);
        let direct = frame::ethernet(hop.1, own.mac, IPV4, &header.carrying(&payload));
        [on_link(scene, &header.by_way_of(hop.0).carrying(&payload)), direct]
    });
    packets.collect()
}

/// Returns scripts that make a hop the default route and undo it. The hop's address is set, so that packets leave in any
/// case.
pub(super) fn default_route(scene: &Scene, hop: (Ipv4Addr, Mac)) -> (String, String) {
    let (address, mac) = (hop.0, hop.1.map(|byte| format!("{byte:02x}")).join(":"));
    (
        format!(
            "ip neigh replace {address} lladdr {mac} dev eth0 && ip route replace default via {address} dev eth0 onlink"
        ),
        format!(
            "ip route replace default via {} dev eth0 onlink && ip neigh del {address} dev eth0",
            scene.gateway
        ),
    )
}

pub(super) fn tcp(to: impl Display, port: u16) -> Act {
    Act::Tcp { to: to.to_string(), port, from: None }
}

pub(super) fn tcp_as(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Act {
    Act::Tcp { to: to.to_string(), port, from: Some(from) }
}

pub(super) fn udp(to: impl Display, port: u16) -> Act {
    Act::Udp { to: to.to_string(), port }
}
