//! The machine: every address that it has, by every way that leads there or might.

use std::net::Ipv4Addr;

use super::parts::{CONTACTS_OTHERS, default_route, on_link, tcp, udp};
use super::suite::Suite;
use crate::attempt::{Act, Expected, Place, Proof, Trial};
use crate::frame::{self, BROADCAST, IPV4, Ipv4};
use crate::scene::{MachineAddress, Reach};
use crate::threat::Threat;

/// The ports at which a machine's SSH and an engine's API would be.
const PORTS: [u16; 3] = [22, 2375, 2376];

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let port = scene.port(Place::Host);
    let got_there = || vec![Proof::Heard(Place::Host), Proof::Connected, Proof::Answered];
    suite.of(Threat::MachinePorts);
    for address in &scene.machine {
        suite.refused(format!("{} ({}): SSH, engine, any port", address.address, address.interface), |_| {
            let ports = [&[port][..], &PORTS].concat();
            let acts = ports.into_iter().map(|port| tcp(address.address, port));
            Trial::of(acts.chain([udp(address.address, port)]).collect(), got_there())
        });
    }
    published(suite);
    if let Some(bridge) = &scene.uplink_bridge {
        by_the_bridge(suite, bridge);
    }
    over_ipv6(suite);
}

/// Tries the ports of containers that the machine publishes: the platform's own, which servers may use at its public address
/// only, and those of others, such as a panel.
fn published(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let got_there = || {
        let places = [Place::Control, Place::Caddy, Place::Router].into_iter();
        let seen = places.filter(|place| scene.has(*place)).map(Proof::Seen);
        seen.chain([Proof::Connected, Proof::Answered]).collect()
    };
    let acts = |addresses: &[Ipv4Addr], ports: &[u16]| {
        let all = addresses.iter().flat_map(|address| ports.iter().map(move |port| tcp(address, *port)));
        all.collect()
    };
    let (public, private) = (scene.machine_addresses(Reach::Public), scene.machine_addresses(Reach::Private));
    let panel = [scene.control.published];
    suite.of(Threat::PublishedPorts);
    suite.refused("a panel's published port, at each address", |_| {
        Trial::of(acts(&[&public[..], &private].concat(), &panel), got_there())
    });
    if !private.is_empty() && !scene.published.is_empty() {
        suite.refused("the platform's published ports, at private addresses", |_| {
            Trial::of(acts(&private, &scene.published), got_there())
        });
    }
}

/// The uplink's bridge, which is the gateway's own next hop.
fn by_the_bridge(suite: &mut Suite<'_>, bridge: &MachineAddress) {
    let scene = suite.scene;
    let port = scene.port(Place::Host);
    let (address, mac) = (bridge.address, bridge.mac);
    suite.of(Threat::BridgeRoute);
    let (set, unset) = default_route(scene, (address, mac));
    suite.refused("the uplink's bridge as the default route: the machine", |_| {
        let got_there = vec![Proof::Heard(Place::Host), Proof::Connected, Proof::Answered];
        Trial::of(vec![tcp(address, port), udp(address, port)], got_there).with(&set, &unset)
    });
    let beyond = [
        "the uplink's bridge as the default route: the internet",
        "the uplink's bridge as the default route: a denied address",
    ];
    match &scene.outside {
        None => suite.none_here(&beyond, Expected::Refused, CONTACTS_OTHERS),
        Some(outside) => {
            for (what, to) in beyond.iter().zip([outside.website, outside.denied[0]]) {
                suite.refused(what, |mark| {
                    let got_there =
                        [Place::Host, Place::Outside].map(|place| Proof::Opened(place, (to, mark.port)));
                    let seen = [Proof::Seen(Place::Host), Proof::Seen(Place::Outside), Proof::Connected];
                    Trial::of(vec![tcp(to, mark.port), udp(to, mark.port)], [&got_there[..], &seen].concat())
                        .with(&set, &unset)
                });
            }
        }
    }
    suite.refused("one-way UDP to the bridge's hardware address", |mark| {
        let packet = frame::udp((scene.attacker.address, mark.port), (address, port), mark.token.as_bytes());
        let frames = [mac, BROADCAST].map(|to| frame::ethernet(to, scene.attacker.mac, IPV4, &packet));
        Trial::of(
            vec![Act::Frames(frames.to_vec())],
            vec![Proof::Heard(Place::Host), Proof::Seen(Place::Host)],
        )
    });
    suite.refused("one-way UDP to the bridge through the gateway", |mark| {
        let packet = frame::udp((scene.attacker.address, mark.port), (address, port), mark.token.as_bytes());
        let frames = vec![on_link(scene, &packet)];
        Trial::of(vec![Act::Frames(frames)], vec![Proof::Heard(Place::Host), Proof::Seen(Place::Host)])
    });
    suite.refused("a source route by way of the bridge", |mark| {
        let datagram = frame::udp_datagram(
            (scene.attacker.address, mark.port),
            (scene.neighbour.address, port),
            mark.token.as_bytes(),
        );
        let packet = Ipv4::new(scene.attacker.address, scene.neighbour.address, 17)
            .by_way_of(address)
            .carrying(&datagram);
        let frames = vec![on_link(scene, &packet)];
        Trial::of(vec![Act::Frames(frames)], vec![Proof::Seen(Place::Host), Proof::Seen(Place::Neighbour)])
    });
}

fn over_ipv6(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let port = scene.port(Place::Host);
    suite.of(Threat::MachineIpv6).refused("over IPv6, which its root turns on", |_| {
        let plane = format!("{}%eth0", frame::link_local(scene.attacker.port_mac));
        let everybody = "ff02::1%eth0";
        let acts = vec![
            udp(everybody, port),
            udp(everybody, scene.port(Place::Plane)),
            udp(&plane, scene.port(Place::Plane)),
            tcp(&plane, scene.port(Place::Plane)),
            tcp(&plane, port),
        ];
        let heard = [Place::Host, Place::Plane, Place::Neighbour].map(Proof::Heard);
        Trial::of(acts, [&heard[..], &[Proof::Connected, Proof::Answered]].concat()).with(
            "for f in all eth0; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6 || exit 1; done; ip -6 address add fe80::bad/64 dev eth0 nodad",
            "ip -6 address flush dev eth0 && echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
        )
    });
}
