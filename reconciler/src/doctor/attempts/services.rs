//! Caddy, the SSH router and the image cache: their own ports, their other addresses, and the ways behind them.

use super::super::frame::{self, IPV4, Ipv4};
use super::{Act, Expected, Place, Proof, Suite, Trial, on_link, tcp, udp};

/// Where they listen, and where they might: sites, Caddy's administration, SSH, a registry's debugging, status pages.
const PORTS: [u16; 9] = [80, 443, 2019, 22, 2222, 5000, 5001, 8080, 8081];
/// What servers may use of the cache.
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
        format!("{what}: its own ports"),
        format!("{what}: its uplink's address"),
        format!("{what}: as a router to a server"),
    ];
    let Some(service) = scene.services.get(&place) else {
        let why = scene.absence(place).unwrap_or_default();
        suite.none_here(&names, Expected::Refused, why);
        return;
    };
    let [own_ports, uplink, router] = names;
    let port = scene.port(place);
    let address = service.address;
    suite.refused(own_ports, |_| {
        let ports: Vec<u16> =
            PORTS.into_iter().chain([port]).filter(|port| place != Place::Cache || *port != CACHE).collect();
        let acts = ports.iter().map(|port| tcp(address, *port)).chain([udp(address, port)]);
        let opened = ports.iter().map(|port| Proof::Opened(place, (address, *port)));
        Trial::of(acts.collect(), opened.chain([Proof::Seen(place), Proof::Connected]).collect())
    });
    if let Some(external) = service.external {
        suite.refused(uplink, |_| {
            let acts = [80, 443, 2019, 5000, port].map(|port| tcp(external, port));
            let opened = [80, 443, 2019, 5000, port].map(|port| Proof::Opened(place, (external, port)));
            let seen = [Proof::Seen(place), Proof::Seen(Place::Host), Proof::Connected];
            Trial::of([&acts[..], &[udp(external, port)]].concat(), [&opened[..], &seen].concat())
        });
    }
    suite.refused(router, |mark| {
        let target = (scene.neighbour.address, mark.port);
        let datagram =
            frame::udp_datagram((scene.attacker.address, mark.port), target, mark.token.as_bytes());
        let header = Ipv4::new(scene.attacker.address, target.0, 17);
        let routed = on_link(scene, &header.clone().by_way_of(address).carrying(&datagram));
        // On a shared wire its hardware address alone would do.
        let direct = frame::ethernet(service.mac, scene.attacker.mac, IPV4, &header.carrying(&datagram));
        Trial::of(
            vec![Act::Frames(vec![routed, direct])],
            vec![Proof::Seen(place), Proof::Seen(Place::Neighbour), Proof::Seen(Place::Host)],
        )
    });
}
