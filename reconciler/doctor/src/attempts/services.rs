//! Caddy, the SSH router and the image cache: their own ports, their other addresses, and the ways behind them.

use super::parts::{by_way_of, tcp, udp};
use super::suite::Suite;
use crate::attempt::{Act, Expected, Place, Proof, Trial};
use crate::canary::PANEL;
use crate::threat::Threat;

/// The ports on which they listen, and on which they might: sites, Caddy's administration, SSH, a registry's debugging,
/// status pages.
const PORTS: [u16; 9] = [80, 443, 2019, 22, 2222, 5000, 5001, 8080, 8081];
/// The port of the cache that servers may use.
const CACHE: u16 = 5000;

pub(super) fn list(suite: &mut Suite<'_>) {
    for (place, what) in
        [(Place::Caddy, "Caddy"), (Place::Router, "the SSH router"), (Place::Cache, "the image cache")]
    {
        of(suite, place, what);
    }
}

fn of(suite: &mut Suite<'_>, place: Place, what: &str) {
    let scene = suite.scene;
    let names = [
        (Threat::ServicePorts, format!("{what}: its own ports")),
        (Threat::ServiceAddresses, format!("{what}: its other addresses, by its link and the gateway")),
        (Threat::ServiceAsRouter, format!("{what}: as a router to a server")),
        (Threat::ServiceAsRouter, format!("{what}: as a router to a panel")),
    ];
    let Some(service) = scene.services.get(&place) else {
        let why = scene.absence(place).unwrap_or_default();
        for (threat, name) in names {
            suite.of(threat).not_here(name, Expected::Refused, why);
        }
        return;
    };
    let [own_ports, others, to_server, to_control] = names;
    let port = scene.port(place);
    let address = service.address;
    suite.of(own_ports.0).refused(own_ports.1, |_| {
        let ports: Vec<u16> =
            PORTS.into_iter().chain([port]).filter(|port| place != Place::Cache || *port != CACHE).collect();
        let acts = ports.iter().map(|port| tcp(address, *port)).chain([udp(address, port)]);
        let opened = ports.iter().map(|port| Proof::Opened(place, (address, *port)));
        Trial::of(acts.collect(), opened.chain([Proof::Seen(place), Proof::Connected]).collect())
    });
    // A kernel takes what is for any of its addresses, whatever link it comes by.
    suite.of(others.0).refused(others.1, |mark| {
        let (mut acts, mut frames, mut proofs) = (Vec::new(), Vec::new(), Vec::new());
        for other in &service.others {
            for port in [80, 443, 2019, 5000, port] {
                acts.push(tcp(other, port));
                proofs.push(Proof::Opened(place, (*other, port)));
            }
            acts.push(udp(other, port));
            frames.extend(by_way_of(scene, (address, service.mac), (*other, port), mark));
        }
        acts.push(Act::Frames(frames));
        proofs.extend([Proof::Seen(place), Proof::Seen(Place::Host), Proof::Connected]);
        Trial::of(acts, proofs)
    });
    suite.of(to_server.0).refused(to_server.1, |mark| {
        let target = (scene.neighbour.address, mark.port);
        let frames = by_way_of(scene, (address, service.mac), target, mark);
        Trial::of(vec![Act::Frames(frames)], [place, Place::Neighbour, Place::Host].map(Proof::Seen).to_vec())
    });
    suite.of(to_control.0).refused(to_control.1, |mark| {
        let legs = scene.control.legs.iter();
        let frames =
            legs.flat_map(|leg| by_way_of(scene, (address, service.mac), (leg.address, PANEL), mark));
        let proofs = [place, Place::Control, Place::Host].map(Proof::Seen);
        Trial::of(
            vec![Act::Frames(frames.collect())],
            [&proofs[..], &[Proof::Heard(Place::Control)]].concat(),
        )
    });
}
