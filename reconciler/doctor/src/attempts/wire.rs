//! Attempts that need a shared wire and must find none: each frame leaves the attacker, and nobody else ever sees it.

use super::parts::{SOME, not_served, seen_elsewhere};
use super::suite::{Mark, Suite};
use crate::attempt::{Act, Place, Proof, Trial};
use crate::frame::{self, ARP, BROADCAST, EXPERIMENT, IPV4, Mac, PROVIDER_VLAN, VLAN};
use crate::threat::Threat;

/// Makes a frame: to whom, from whom, and what it carries.
type Shape = fn(Mac, Mac, &[u8]) -> Vec<u8>;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let (own, other) = (&scene.attacker, &scene.neighbour);
    let shapes: [(&str, Shape); 5] = [
        ("frames of an unknown protocol (0x88b5)", |to, from, mark| {
            frame::ethernet(to, from, EXPERIMENT, mark)
        }),
        ("frames of IEEE 802.2 (LLC)", frame::llc),
        ("a VLAN's frames", |to, from, mark| {
            frame::tagged(&frame::ethernet(to, from, EXPERIMENT, mark), &[(VLAN, 7)])
        }),
        ("a provider's VLAN's frames (QinQ)", |to, from, mark| {
            frame::tagged(&frame::ethernet(to, from, EXPERIMENT, mark), &[(PROVIDER_VLAN, 7), (VLAN, 8)])
        }),
        ("IPv4 inside a VLAN", |to, from, mark| {
            frame::tagged(&frame::ethernet(to, from, IPV4, mark), &[(VLAN, 0)])
        }),
    ];
    suite.of(Threat::EastWestFrames);
    for (name, shape) in shapes {
        suite.refused(name, |mark| {
            let frames =
                [BROADCAST, other.mac, own.port_mac].map(|to| shape(to, own.mac, mark.token.as_bytes()));
            Trial::of(vec![Act::Frames(frames.to_vec())], seen_elsewhere(scene))
        });
    }
    suite.refused("a question for a neighbour (ARP)", |mark| {
        let frame = frame::arp_question(own.mac, own.address, other.address, mark.token.as_bytes());
        Trial::of(vec![Act::Frames(vec![frame])], seen_elsewhere(scene))
    });
    suite.of(Threat::RouterAdvertisement).refused(
        "a router for everybody (IPv6 router advertisement)",
        |mark| {
            let packet =
                frame::router_advertisement(frame::link_local(own.mac), own.mac, mark.token.as_bytes());
            let frame = frame::ethernet([0x33, 0x33, 0, 0, 0, 1], own.mac, frame::IPV6, &packet);
            Trial::of(vec![Act::Frames(vec![frame])], seen_elsewhere(scene))
        },
    );
    poisoning(suite);
    stealing(suite);
}

/// Claims about who has an address.
fn poisoning(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let (own, other) = (&scene.attacker, &scene.neighbour);
    let nobody_believes = |mark: &Mark, claimed, to: [Mac; 3], asked_by| {
        let claim = |mac| frame::arp_claim(mac, own.mac, claimed, asked_by, mark.token.as_bytes());
        let question = frame::arp_question(own.mac, claimed, claimed, mark.token.as_bytes());
        let frames = to.map(claim).into_iter().chain([question]).collect();
        let places = [Place::Plane, Place::Neighbour, Place::Caddy, Place::Cache];
        let changed = places.into_iter().filter(|place| scene.has(*place)).map(Proof::NeighboursChanged);
        let proofs = changed.chain(seen_elsewhere(scene)).chain(not_served(scene)).collect();
        Trial::of(vec![Act::Frames(frames)], proofs)
    };
    let caddy = scene.service_address(Place::Caddy);
    let to = [BROADCAST, other.mac, own.port_mac];
    suite.of(Threat::PoisonServer).refused("being the gateway for a neighbour (ARP)", |mark| {
        nobody_believes(mark, scene.gateway, to, other.address)
    });
    suite
        .refused("being Caddy for a neighbour (ARP)", |mark| nobody_believes(mark, caddy, to, other.address));
    suite.of(Threat::PoisonGateway).refused("being the neighbour for the gateway (ARP)", |mark| {
        nobody_believes(mark, other.address, to, scene.gateway)
    });
    suite.of(Threat::PoisonCaddy).refused("being the neighbour for Caddy (ARP)", |mark| {
        nobody_believes(mark, other.address, to, caddy)
    });
    suite.of(Threat::PoisonServer).refused("being the cache for everybody (ARP)", |mark| {
        nobody_believes(mark, scene.cache, to, scene.gateway)
    });
}

/// Hardware addresses that others have.
fn stealing(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let (own, other) = (&scene.attacker, &scene.neighbour);
    suite.of(Threat::StolenHardware);
    for (name, stolen) in
        [("the neighbour's hardware address", other.mac), ("the gateway's hardware address", other.port_mac)]
    {
        suite.refused(name, |mark| {
            let frames = [BROADCAST, own.port_mac, other.mac]
                .map(|to| frame::ethernet(to, stolen, EXPERIMENT, mark.token.as_bytes()))
                .map(|frame| vec![frame; 20])
                .concat();
            let proofs = seen_elsewhere(scene).into_iter().chain(not_served(scene)).collect();
            Trial::of(vec![Act::Frames(frames)], proofs)
        });
    }
    suite.refused("5,000 hardware addresses", |mark| {
        let frames = (0_u16..5000).map(|number| {
            let [high, low] = number.to_be_bytes();
            let kind = if number % 2 == 0 { EXPERIMENT } else { ARP };
            frame::ethernet(BROADCAST, [0x02, 0x66, 0, 0, high, low], kind, mark.token.as_bytes())
        });
        let grown = Proof::Neighbours { place: Place::Plane, more_than: SOME };
        let proofs = seen_elsewhere(scene).into_iter().chain(not_served(scene)).chain([grown]).collect();
        Trial::of(vec![Act::Frames(frames.collect())], proofs)
    });
}
