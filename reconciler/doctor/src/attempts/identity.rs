//! Packets in another's name: their source isn't the sender's own. Whoever gets one would answer, or blame, another.

use std::net::Ipv4Addr;

use super::parts::{on_link, seen_elsewhere, tcp_as};
use super::suite::Suite;
use crate::attempt::{Act, Place, Proof, Trial};
use crate::frame;
use crate::scene::Scene;
use crate::threat::Threat;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let other = &scene.neighbour;
    let stranger = Ipv4Addr::new(8, 8, 4, 4);
    let (others, foreign) = (Threat::OthersAddress, Threat::ForeignSource);
    let names = [
        (others, "the neighbour's address", other.address, scene.attacker.mac),
        (others, "the neighbour's address and hardware address", other.address, other.mac),
        (others, "the gateway's address", scene.gateway, scene.attacker.mac),
        (others, "Caddy's address", scene.service_address(Place::Caddy), scene.attacker.mac),
        (others, "the image cache's address", scene.cache, scene.attacker.mac),
        (foreign, "an address of the internet", stranger, scene.attacker.mac),
        (foreign, "an address that no server has", scene.unused, scene.attacker.mac),
        (foreign, "the machine's address", scene.machine_address(), scene.attacker.mac),
        (foreign, "localhost", Ipv4Addr::LOCALHOST, scene.attacker.mac),
    ];
    for (threat, name, from, mac) in names {
        suite.of(threat).refused(name, |mark| {
            let frames = targets(scene).into_iter().flat_map(|(to, port)| {
                let (from, token) = ((from, mark.port), mark.token.as_bytes());
                [
                    frame::udp(from, (to, port), token),
                    frame::tcp_open(from, (to, port), token),
                    frame::ping(from.0, to, token),
                ]
                .map(|packet| frame::ethernet(scene.attacker.port_mac, mac, frame::IPV4, &packet))
            });
            let proofs = seen_elsewhere(scene).into_iter().chain([Proof::Heard(Place::Host)]).collect();
            Trial::of(vec![Act::Frames(frames.collect())], proofs)
        });
    }
    suite.of(others).refused("the neighbour's address, given to one's own link", |_| {
        let from = other.address;
        let acts = targets(scene).into_iter().map(|(to, port)| tcp_as(from, to, port));
        let places = [Place::Cache, Place::Host, Place::Outside].into_iter().filter(|place| scene.has(*place));
        let proofs = places.map(|place| Proof::OpenedAs(place, from)).chain([Proof::Connected]);
        Trial::of(acts.collect(), proofs.collect()).with(
            format!("ip address add {from}/32 dev eth0 && for f in all eth0; do echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter || exit 1; done"),
            format!("ip address del {from}/32 dev eth0"),
        )
    });
    suite.of(Threat::PoisonGateway).refused("a redirect of the gateway's neighbours (ICMP)", |mark| {
        // "The way to the neighbour leads over me" (RFC 792), with the beginning of a packet that it is about.
        let about = frame::udp((scene.gateway, 1), (other.address, 2), mark.token.as_bytes());
        let message = [&[5, 1, 0, 0][..], &scene.attacker.address.octets(), &about].concat();
        let packet = frame::Ipv4::new(scene.gateway, scene.gateway, 1).carrying(&message);
        let changed = [Place::Plane, Place::Neighbour].map(Proof::NeighboursChanged);
        let proofs = changed.into_iter().chain(seen_elsewhere(scene)).collect();
        Trial::of(vec![Act::Frames(vec![on_link(scene, &packet)])], proofs)
    });
}

/// Whom it is sent to: what an honest server may talk to, so that only the name can be what stops it.
fn targets(scene: &Scene) -> Vec<(Ipv4Addr, u16)> {
    let mut targets = vec![(scene.cache, 5000), (scene.machine_address(), scene.port(Place::Host))];
    targets.extend(scene.outside.as_ref().map(|outside| (outside.website, 80)));
    targets
}
