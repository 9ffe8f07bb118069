//! The machine: every address that it has, by every way that leads there or might.

use super::super::frame::{self, BROADCAST, IPV4, Ipv4};
use super::{Act, Place, Proof, Suite, Trial, on_link, tcp, udp};

/// Where a machine's SSH and an engine's API would be.
const PORTS: [u16; 3] = [22, 2375, 2376];

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let port = scene.port(Place::Host);
    let got_there = || vec![Proof::Heard(Place::Host), Proof::Connected, Proof::Answered];
    for address in &scene.machine {
        suite.refused(format!("{} ({}): SSH, engine, any port", address.address, address.interface), |_| {
            let ports = [&[port][..], &PORTS].concat();
            let acts = ports.into_iter().map(|port| tcp(address.address, port));
            Trial::of(acts.chain([udp(address.address, port)]).collect(), got_there())
        });
    }
    let Some(bridge) = &scene.uplink_bridge else { return };
    let (address, mac) = (bridge.address, bridge.mac);
    suite.refused("the uplink's bridge as the default route", |_| {
        Trial::of(vec![tcp(address, port), udp(address, port)], got_there())
            .with(
                format!("ip route replace default via {address} dev eth0 onlink; ip neigh replace {address} lladdr {} dev eth0", shown(mac)),
                format!("ip route replace default via {} dev eth0 onlink; ip neigh del {address} dev eth0", scene.gateway),
            )
            .may_stay()
    });
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
    suite.refused("over IPv6, which its root turns on", |_| {
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
            "for f in all eth0; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done; ip -6 address add fe80::bad/64 dev eth0 nodad",
            "ip -6 address flush dev eth0; echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
        )
    });
}

fn shown(mac: frame::Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
