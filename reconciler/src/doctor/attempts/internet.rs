//! Addresses that are not the internet, and mail. Each would answer in a lab, so that a leak is seen where it arrives.

use super::super::frame::{self, Ipv4};
use super::{Act, CONTACTS_OTHERS, Expected, Place, Proof, Suite, Trial, on_link, tcp, udp};

/// What can't be tried without an internet of its own.
const RANGES: [&str; 12] = [
    "10/8",
    "172.16/12",
    "192.168/16",
    "100.64/10 (carriers)",
    "169.254.169.254 (the cloud's metadata)",
    "192.0.0/24",
    "198.18/15",
    "mail, port 25",
    "mail, port 25, in fragments",
    "a denied address with Caddy as the default route",
    "without a link: the internet",
    "an answer for another's question",
];

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let Some(outside) = &scene.outside else {
        suite.none_here(&RANGES, Expected::Refused, CONTACTS_OTHERS);
        return;
    };
    for (range, address) in RANGES.iter().zip(&outside.denied) {
        suite.refused(range, |mark| {
            Trial::of(
                vec![tcp(address, 80), tcp(address, mark.port), udp(address, mark.port)],
                vec![
                    Proof::Opened(Place::Outside, (*address, 80)),
                    Proof::Opened(Place::Outside, (*address, mark.port)),
                    Proof::Seen(Place::Outside),
                    Proof::Connected,
                ],
            )
        });
    }
    let opened = Proof::Opened(Place::Outside, (outside.mail, 25));
    suite.refused(RANGES[7], |_| {
        Trial::of(vec![tcp(outside.mail, 25)], vec![opened.clone(), Proof::Connected])
    });
    suite.refused(RANGES[8], |mark| {
        const TCP: u8 = 6;
        let from = (scene.attacker.address, mark.port);
        let segment = frame::tcp_segment(from, (outside.mail, 25), mark.token.as_bytes());
        let header = Ipv4::new(from.0, outside.mail, TCP);
        // The first fragment ends behind the ports; the flags, and so what it is, come with the second.
        let frames = frame::in_fragments(&header, &segment, 8).map(|packet| on_link(scene, &packet));
        Trial::of(vec![Act::Frames(frames.to_vec())], vec![opened, Proof::Seen(Place::Outside)])
    });
    let denied = outside.denied[0];
    suite.refused(RANGES[9], |mark| {
        let gateway = scene.gateway;
        let caddy = scene.service_address(Place::Caddy);
        Trial::of(
            vec![tcp(denied, mark.port), udp(denied, mark.port)],
            vec![
                Proof::Opened(Place::Outside, (denied, mark.port)),
                Proof::Seen(Place::Outside),
                Proof::Connected,
            ],
        )
        .with(
            format!("ip route replace default via {caddy} dev eth0 onlink"),
            format!("ip route replace default via {gateway} dev eth0 onlink"),
        )
        .may_stay()
    });
    suite.refused(RANGES[10], |mark| {
        let to = outside.website;
        Trial::of(
            vec![Act::Unlink, tcp(to, mark.port), udp(to, mark.port), Act::Link],
            vec![
                Proof::Opened(Place::Outside, (to, mark.port)),
                Proof::Seen(Place::Outside),
                Proof::Connected,
            ],
        )
        .may_stay()
    });
    suite.refused(RANGES[11], |mark| {
        // A packet that belongs to no connection, as if it were the answer to one.
        let packet =
            frame::udp((scene.attacker.address, 53), (outside.denied[1], mark.port), mark.token.as_bytes());
        Trial::of(vec![Act::Frames(vec![on_link(scene, &packet)])], vec![Proof::Seen(Place::Outside)])
    });
}
