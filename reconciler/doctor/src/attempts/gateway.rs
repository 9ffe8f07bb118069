//! The gateway's own ports, at each of its addresses. Only its resolver may be talked to.

use std::net::Ipv4Addr;

use super::parts::{on_link, seen_elsewhere, tcp, udp};
use super::suite::Suite;
use crate::attempt::{Act, Place, Proof, Trial};
use crate::frame;
use crate::threat::Threat;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let port = scene.port(Place::Plane);
    let got_there = || vec![Proof::Heard(Place::Plane), Proof::Connected, Proof::Answered];
    suite.of(Threat::GatewayPorts);
    suite.refused("its address on the servers' side: other ports", |_| {
        let acts = [port, 22, 80, 443, 2019, 5353].map(|port| tcp(scene.gateway, port));
        Trial::of([&acts[..], &[udp(scene.gateway, port)]].concat(), got_there())
    });
    if let Some(uplink) = scene.uplink {
        suite.refused("its address on the uplink: all ports", |_| {
            let acts = [port, 22, 53, 80].map(|port| tcp(uplink, port));
            Trial::of([&acts[..], &[udp(uplink, port), udp(uplink, 53)]].concat(), got_there())
        });
    }
    suite.refused("its loopback, from outside of it", |mark| {
        let from = (scene.attacker.address, mark.port);
        let sent = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 11)].map(|to| {
            let packet = frame::udp(from, (to, port), mark.token.as_bytes());
            on_link(scene, &packet)
        });
        Trial::of(vec![Act::Frames(sent.to_vec())], got_there())
    });
    suite.refused("everybody, by broadcast and multicast", |mark| {
        let from = (scene.attacker.address, mark.port);
        let everybody = [Ipv4Addr::BROADCAST, scene.subnet.broadcast(), Ipv4Addr::new(224, 0, 0, 1)];
        let sent = everybody.map(|to| {
            let packet = frame::udp(from, (to, port), mark.token.as_bytes());
            frame::ethernet(frame::BROADCAST, scene.attacker.mac, frame::IPV4, &packet)
        });
        let proofs = [&seen_elsewhere(scene)[..], &got_there()].concat();
        Trial::of(vec![Act::Frames(sent.to_vec())], proofs)
    });
}
