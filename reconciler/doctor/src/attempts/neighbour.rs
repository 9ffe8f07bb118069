//! Another server, over everything that a kernel routes.

use super::parts::{not_served, on_link, tcp, udp};
use super::suite::Suite;
use crate::attempt::{Act, Place, Proof, Trial};
use crate::frame::{self, IPV6, Ipv4};
use crate::threat::Threat;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let (own, other) = (&scene.attacker, &scene.neighbour);
    let seen = || vec![Proof::Seen(Place::Neighbour), Proof::Connected];
    let on_link = |packet: &[u8]| on_link(scene, packet);
    suite.of(Threat::EastWest);
    for (what, ports) in [
        ("HTTP", vec![80, 443]),
        ("SSH", vec![22]),
        ("any TCP port", vec![scene.port(Place::Neighbour), 2375]),
    ] {
        suite.refused(what, |_| {
            let opened = ports.iter().map(|port| Proof::Opened(Place::Neighbour, (other.address, *port)));
            let proofs = opened.chain(seen()).collect();
            Trial::of(ports.iter().map(|port| tcp(other.address, *port)).collect(), proofs)
        });
    }
    suite.refused("UDP", |mark| {
        let acts = [scene.port(Place::Neighbour), 53, mark.port].map(|port| udp(other.address, port));
        Trial::of(acts.to_vec(), seen())
    });
    suite.refused("ping", |mark| {
        let packet = frame::ping(own.address, other.address, mark.token.as_bytes());
        Trial::of(vec![Act::Frames(vec![on_link(&packet)])], seen())
    });
    suite.refused("an answer to a connection that never was", |mark| {
        let from = (own.address, 80);
        let mut packet = frame::tcp_open(from, (other.address, mark.port), mark.token.as_bytes());
        // SYN and ACK: the answer of a web server. Its checksum is wrong now, which a firewall need not look at.
        packet[33] = 0x12;
        Trial::of(vec![Act::Frames(vec![on_link(&packet)])], seen())
    });
    unusual(suite);
}

/// Packets that an honest server has no use for.
fn unusual(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let (own, other) = (&scene.attacker, &scene.neighbour);
    let seen = || vec![Proof::Seen(Place::Neighbour), Proof::Connected];
    let on_link = |packet: &[u8]| on_link(scene, packet);
    suite.refused("UDP in fragments", |mark| {
        let (from, to) = ((own.address, mark.port), (other.address, mark.port));
        let long = mark.token.repeat(8);
        let datagram = frame::udp_datagram(from, to, long.as_bytes());
        let fragments = frame::in_fragments(&Ipv4::new(from.0, to.0, 17), &datagram, 64);
        Trial::of(vec![Act::Frames(fragments.map(|packet| on_link(&packet)).to_vec())], seen())
    });
    suite.refused("a last fragment alone", |mark| {
        let mut header = Ipv4::new(own.address, other.address, 17);
        header.fragment = 20;
        let packet = header.carrying(mark.token.as_bytes());
        Trial::of(vec![Act::Frames(vec![on_link(&packet)])], seen())
    });
    suite.refused("protocols that nobody uses (GRE, SCTP, ESP, 253)", |mark| {
        let packets = [47, 132, 50, 253]
            .map(|protocol| Ipv4::new(own.address, other.address, protocol).carrying(mark.token.as_bytes()));
        Trial::of(vec![Act::Frames(packets.map(|packet| on_link(&packet)).to_vec())], seen())
    });
    suite.refused("IPv6, link-local", |mark| {
        let from = (frame::link_local(own.mac), mark.port);
        let to = (frame::link_local(other.mac), 80);
        let packet = frame::udp6(from, to, mark.token.as_bytes());
        let frames = [own.port_mac, other.mac].map(|mac| frame::ethernet(mac, own.mac, IPV6, &packet));
        Trial::of(vec![Act::Frames(frames.to_vec())], seen())
    });
    suite.of(Threat::OthersAddress).refused("its address given to one's own link", |mark| {
        let address = other.address;
        let proofs = [Proof::NeighboursChanged(Place::Plane)].into_iter().chain(not_served(scene));
        Trial::of(vec![tcp(scene.gateway, mark.port)], proofs.collect()).with(
            format!("ip address add {address}/32 dev eth0"),
            format!("ip address del {address}/32 dev eth0"),
        )
    });
}
