//! Floods: things that others need, and that one server can use up.

use std::net::Ipv4Addr;

use super::parts::{CONTACTS_OTHERS, SOME, not_served, on_link};
use super::suite::Suite;
use crate::attempt::{Act, Expected, Place, Proof, Trial};
use crate::frame;
use crate::scene::Scene;
use crate::threat::Threat;

/// More connections than a server may ever have (`[firewall] connections`), and fewer than the kernel's table holds.
const TRACKED: u64 = 10_000;
const OPENINGS: u16 = 40_000;
const QUESTIONS: u32 = 5000;
/// Answers that no server may exceed: many times more than its bucket and some seconds of refill let through.
const ANSWERED: u32 = 2000;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let own = &scene.attacker;
    suite.of(Threat::NameFlood).limited("5,000 questions to the resolver", |_| {
        let ask =
            Act::Ask { server: scene.gateway, name: "gateway.berth.internal".to_owned(), count: QUESTIONS };
        Trial::of(vec![ask], vec![Proof::AnswersAbove(ANSWERED)]).counted(ANSWERED.into())
    });
    suite.of(Threat::ArpFlood).limited("20,000 claims about addresses (ARP)", |mark| {
        let frames = (0_u32..20_000).map(|number| {
            let address = Ipv4Addr::from_bits(
                scene.subnet.network().to_bits() | (number & !scene.subnet.netmask().to_bits()),
            );
            let [_, a, b, c] = number.to_be_bytes();
            frame::arp_claim(
                own.port_mac,
                [0x02, 0x77, 0, a, b, c],
                address,
                scene.gateway,
                mark.token.as_bytes(),
            )
        });
        let grown = Proof::Neighbours { place: Place::Plane, more_than: SOME };
        let proofs = [grown, Proof::NeighboursChanged(Place::Plane)].into_iter().chain(not_served(scene));
        Trial::of(vec![Act::Frames(frames.collect())], proofs.collect()).counted(10_000)
    });
    suite.of(Threat::NeighbourFlood).limited(
        "packets for every server that there might be (neighbour table)",
        |mark| {
            let frames = (0_u32..4096).map(|number| {
                let to = Ipv4Addr::from_bits(
                    scene.subnet.network().to_bits() | (number & !scene.subnet.netmask().to_bits()),
                );
                on_link(scene, &frame::udp((own.address, mark.port), (to, 80), mark.token.as_bytes()))
            });
            let grown = Proof::Neighbours { place: Place::Plane, more_than: SOME };
            let proofs = [grown].into_iter().chain(not_served(scene)).collect();
            Trial::of(vec![Act::Frames(frames.collect())], proofs).counted(2048)
        },
    );
    connections(suite);
}

/// Openings of connections that nobody answers, in its own name and in others'.
fn connections(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let openings = |to: Ipv4Addr, from: fn(&Scene, u16) -> Ipv4Addr| {
        let packet = |number: u16| frame::tcp_open((from(scene, number), 10_000 + number), (to, 80), &[]);
        Act::Frames((0..OPENINGS).map(|number| on_link(scene, &packet(number))).collect())
    };
    suite.of(Threat::ConnectionFlood);
    let tracked = |more_than| [Place::Plane, Place::Host].map(|place| Proof::Tracked { place, more_than });
    let names =
        ["40,000 connections to the internet at once", "40,000 connections to the internet in others' names"];
    let Some(outside) = &scene.outside else {
        suite.none_here(&names, Expected::Limited, CONTACTS_OTHERS);
        return;
    };
    suite.limited(names[0], |_| {
        let proofs = tracked(TRACKED).into_iter().chain(not_served(scene)).collect();
        Trial::of(vec![openings(outside.website, |scene, _| scene.attacker.address)], proofs).counted(TRACKED)
    });
    suite.limited(names[1], |_| {
        let in_others_names = |scene: &Scene, number: u16| {
            let host = 16 + u32::from(number) % 200;
            Ipv4Addr::from_bits(scene.subnet.network().to_bits() + host)
        };
        let proofs = tracked(TRACKED).into_iter().chain(not_served(scene)).collect();
        Trial::of(vec![openings(outside.website, in_others_names)], proofs).counted(TRACKED)
    });
}
