//! Ways that must work, since the platform is there for them. A suite in which nothing can work proves nothing.

use super::parts::{CONTACTS_OTHERS, tcp, udp};
use super::suite::Suite;
use crate::attempt::{Act, Expected, Place, Proof, Trial};
use crate::scene::Reach;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let neighbour = scene.neighbour.address;
    for (place, what, port) in
        [(Place::Caddy, "Caddy to a server, HTTP", 80), (Place::Router, "SSH router to a server, SSH", 22)]
    {
        match scene.absence(place) {
            Some(why) => suite.not_here(what, Expected::Works, why),
            None => suite.works(what, |_| {
                let to = (neighbour, port);
                Trial::of(
                    vec![Act::From { place, to }],
                    vec![Proof::Connected, Proof::Answered, Proof::Heard(Place::Neighbour)],
                )
                .may_stay()
            }),
        }
    }
    match scene.absence(Place::Cache) {
        Some(why) => suite.not_here("server to the image cache", Expected::Works, why),
        None => suite.works("server to the image cache", |_| {
            Trial::of(vec![tcp(scene.cache, 5000)], vec![Proof::Answered, Proof::Seen(Place::Cache)])
        }),
    }
    suite.works("server to the gateway's resolver", |_| {
        let name = "gateway.berth.internal".to_owned();
        let ask = Act::Ask { server: scene.gateway, name, count: 1 };
        Trial::of(vec![ask], vec![Proof::Says(format!("address {}", scene.gateway))]).may_stay()
    });
    suite.works("server pings the gateway", |_| {
        let ping = Act::Shell(format!("if ping -c 1 -W 2 {}; then echo came back; fi", scene.gateway));
        Trial::of(vec![ping], vec![Proof::Says("came back".to_owned())]).may_stay()
    });
    own_sites(suite);
    let to_internet = [
        "server to the internet, TCP",
        "server to the internet, UDP",
        "server asks for a name of the internet",
    ];
    let Some(outside) = &scene.outside else {
        suite.none_here(&to_internet, Expected::Works, CONTACTS_OTHERS);
        return;
    };
    let [over_tcp, over_udp, by_name] = to_internet;
    suite.works(over_tcp, |_| {
        Trial::of(vec![tcp(outside.website, 80)], vec![Proof::Answered, Proof::Seen(Place::Outside)])
    });
    suite.works(over_udp, |_| {
        let act = udp(outside.website, scene.port(Place::Outside));
        Trial::of(vec![act], vec![Proof::Answered, Proof::Heard(Place::Outside)])
    });
    suite.works(by_name, |_| {
        let ask = Act::Ask { server: scene.gateway, name: outside.name.clone(), count: 1 };
        Trial::of(vec![ask], vec![Proof::Says(format!("address {}", outside.website))]).may_stay()
    });
}

/// The platform's own sites, at the address that everybody knows.
fn own_sites(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let what = "server to the platform's sites, by the public address";
    let public = scene.machine_addresses(Reach::Public);
    match (scene.services.contains_key(&Place::Caddy), public.first(), scene.published.first()) {
        (true, Some(address), Some(port)) => suite.works(what, |_| {
            Trial::of(vec![tcp(address, *port)], vec![Proof::Answered, Proof::Seen(Place::Caddy)])
        }),
        (false, ..) => suite.not_here(what, Expected::Works, "no web server runs here"),
        _ => suite.not_here(what, Expected::Works, "the machine has private addresses only"),
    }
}
