//! A panel: its stand-in listens at the uplink, where no way leads from the user plane.

use super::parts::{by_way_of, tcp, udp};
use super::suite::Suite;
use crate::attempt::{Act, Place, Proof, Trial};
use crate::canary::{CONTROL_PORTS, PANEL};
use crate::threat::Threat;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    suite.of(Threat::Panel);
    for leg in &scene.control.legs {
        let address = leg.address;
        let ports = || CONTROL_PORTS.into_iter().chain([PANEL]);
        let got_there = || {
            let opened = ports().map(|port| Proof::Opened(Place::Control, (address, port)));
            let told = [Proof::Heard(Place::Control), Proof::Seen(Place::Control), Proof::Seen(Place::Host)];
            opened.chain(told).chain([Proof::Connected])
        };
        suite.refused(format!("{}: its ports", leg.network), |_| {
            let acts = ports().map(|port| tcp(address, port)).chain([udp(address, PANEL)]);
            Trial::of(acts.collect(), got_there().collect())
        });
        suite.refused(format!("{}: by way of the machine and the gateway", leg.network), |mark| {
            let machine = [&scene.uplink_bridge, &leg.machine].into_iter().flatten();
            let gateway = [Some(scene.gateway), scene.uplink].into_iter().flatten();
            let hops = machine
                .map(|machine| (machine.address, machine.mac))
                .chain(gateway.map(|address| (address, scene.attacker.port_mac)));
            let frames = hops.flat_map(|hop| by_way_of(scene, hop, (address, PANEL), mark));
            Trial::of(vec![Act::Frames(frames.collect())], got_there().collect())
        });
    }
}
