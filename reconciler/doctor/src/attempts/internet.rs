//! Addresses that are not the internet, and mail. Each would answer in a lab, so that a leak is seen where it arrives.

use super::parts::{CONTACTS_OTHERS, default_route, on_link, tcp, udp};
use super::suite::Suite;
use crate::attempt::{Act, Expected, Place, Proof, Trial};
use crate::frame::{self, Ipv4};
use crate::scene::Outside;
use crate::threat::Threat;

/// Attempts that can't be made without an internet of the lab's own.
const RANGES: [(Threat, &str); 13] = [
    (Threat::PrivateNetworks, "10/8"),
    (Threat::PrivateNetworks, "172.16/12"),
    (Threat::PrivateNetworks, "192.168/16"),
    (Threat::SpecialNetworks, "100.64/10 (carriers)"),
    (Threat::SpecialNetworks, "169.254.169.254 (the cloud's metadata)"),
    (Threat::SpecialNetworks, "192.0.0/24"),
    (Threat::SpecialNetworks, "198.18/15"),
    (Threat::SpecialNetworks, "mail, port 25"),
    (Threat::SpecialNetworks, "mail, port 25, in fragments"),
    (Threat::ServiceAsRouter, "a denied address with Caddy as the default route"),
    (Threat::ServiceAsRouter, "a denied address with the SSH router as the default route"),
    (Threat::Unlinked, "without a link: the internet"),
    (Threat::PrivateNetworks, "an answer for another's question"),
];

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let Some(outside) = &scene.outside else {
        for (threat, name) in RANGES {
            suite.of(threat).not_here(name, Expected::Refused, CONTACTS_OTHERS);
        }
        return;
    };
    for ((threat, range), address) in RANGES.iter().zip(&outside.denied) {
        suite.of(*threat).refused(range, |mark| {
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
    mail(suite, outside);
    let denied = outside.denied[0];
    for (place, (threat, name)) in [Place::Caddy, Place::Router].into_iter().zip(&RANGES[9..11]) {
        let suite = suite.of(*threat);
        let Some(service) = scene.services.get(&place) else {
            suite.not_here(name, Expected::Refused, scene.absence(place).unwrap_or_default());
            continue;
        };
        suite.refused(name, |mark| {
            let (set, unset) = default_route(scene, (service.address, service.mac));
            let opened = [place, Place::Outside].map(|place| Proof::Opened(place, (denied, mark.port)));
            let seen = [Proof::Seen(place), Proof::Seen(Place::Outside), Proof::Connected];
            Trial::of(vec![tcp(denied, mark.port), udp(denied, mark.port)], [&opened[..], &seen].concat())
                .with(set, unset)
        });
    }
    suite.of(RANGES[11].0).refused(RANGES[11].1, |mark| {
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
    suite.of(RANGES[12].0).refused(RANGES[12].1, |mark| {
        // A packet that belongs to no connection, as if it were the answer to one.
        let packet =
            frame::udp((scene.attacker.address, 53), (outside.denied[1], mark.port), mark.token.as_bytes());
        Trial::of(vec![Act::Frames(vec![on_link(scene, &packet)])], vec![Proof::Seen(Place::Outside)])
    });
}

/// Mail, whole and in fragments.
fn mail(suite: &mut Suite<'_>, outside: &Outside) {
    let scene = suite.scene;
    let opened = Proof::Opened(Place::Outside, (outside.mail, 25));
    suite.of(RANGES[7].0).refused(RANGES[7].1, |_| {
        Trial::of(vec![tcp(outside.mail, 25)], vec![opened.clone(), Proof::Connected])
    });
    suite.of(RANGES[8].0).refused(RANGES[8].1, |mark| {
        const TCP: u8 = 6;
        let from = (scene.attacker.address, mark.port);
        let segment = frame::tcp_segment(from, (outside.mail, 25), mark.token.as_bytes());
        let header = Ipv4::new(from.0, outside.mail, TCP);
        // The first fragment ends behind the ports; the flags, and so what it is, come with the second.
        let frames = frame::in_fragments(&header, &segment, 8).map(|packet| on_link(scene, &packet));
        Trial::of(vec![Act::Frames(frames.to_vec())], vec![opened, Proof::Seen(Place::Outside)])
    });
}
