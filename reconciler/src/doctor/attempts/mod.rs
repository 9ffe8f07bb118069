//! The attempts, by group: each file is a list of what a hostile root may try, and of what must work all the same.

mod allowed;
mod control;
mod floods;
mod gateway;
mod identity;
mod internet;
mod machine;
mod names;
mod neighbour;
mod services;
mod wire;

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::attempt::{Act, Attempt, Expected, Group, Place, Proof, Trial};
use super::frame::{self, IPV4, Ipv4, Mac};
use super::scene::Scene;
use super::sighting::Tokens;
use super::threat::Threat;

/// Why what needs an internet isn't tried without one of its own.
const CONTACTS_OTHERS: &str = "would contact somebody outside the platform";

/// So many entries a table may get by itself, such as for the way to the internet.
const SOME: usize = 16;

/// Every attempt, in the order in which they are tried.
pub(crate) fn all(scene: &Scene, tokens: &Tokens) -> Vec<Attempt> {
    let mut suite = Suite { scene, tokens, group: Group::Allowed, threat: None, attempts: Vec::new() };
    let groups: [(Group, List); 11] = [
        (Group::Allowed, allowed::list),
        (Group::Internet, internet::list),
        (Group::Machine, machine::list),
        (Group::Gateway, gateway::list),
        (Group::Services, services::list),
        (Group::Control, control::list),
        (Group::Neighbour, neighbour::list),
        (Group::Wire, wire::list),
        (Group::Identity, identity::list),
        (Group::Names, names::list),
        // Last: a limit that a flood has reached holds for a while.
        (Group::Floods, floods::list),
    ];
    for (group, list) in groups {
        (suite.group, suite.threat) = (group, None);
        list(&mut suite);
    }
    suite.attempts
}

/// Writes the attempts of a group.
type List = fn(&mut Suite<'_>);

/// A list that is being written.
struct Suite<'a> {
    scene: &'a Scene,
    tokens: &'a Tokens,
    group: Group,
    /// What the attempts that follow show.
    threat: Option<Threat>,
    attempts: Vec<Attempt>,
}

/// What tells one attempt's packets from all others.
struct Mark {
    token: String,
    /// A port that no other attempt uses.
    port: u16,
}

impl Suite<'_> {
    /// The attempts that follow show this threat.
    fn of(&mut self, threat: Threat) -> &mut Self {
        self.threat = Some(threat);
        self
    }

    fn refused(&mut self, name: impl Display, trial: impl FnOnce(&Mark) -> Trial) {
        self.add(name, Expected::Refused, trial);
    }

    fn limited(&mut self, name: impl Display, trial: impl FnOnce(&Mark) -> Trial) {
        self.add(name, Expected::Limited, trial);
    }

    fn works(&mut self, name: impl Display, trial: impl FnOnce(&Mark) -> Trial) {
        self.add(name, Expected::Works, trial);
    }

    fn not_here(&mut self, name: impl Display, expected: Expected, why: &'static str) {
        let number = self.next();
        self.push(number, name, expected, Err(why));
    }

    fn none_here(&mut self, names: &[impl Display], expected: Expected, why: &'static str) {
        for name in names {
            self.not_here(name, expected, why);
        }
    }

    fn add(&mut self, name: impl Display, expected: Expected, trial: impl FnOnce(&Mark) -> Trial) {
        let number = self.next();
        let mark = Mark { token: self.tokens.of(number), port: 20_000 + number };
        self.push(number, name, expected, Ok(trial(&mark)));
    }

    fn next(&self) -> u16 {
        u16::try_from(self.attempts.len() + 1).unwrap_or(u16::MAX)
    }

    fn push(
        &mut self,
        number: u16,
        name: impl Display,
        expected: Expected,
        how: Result<Trial, &'static str>,
    ) {
        let (group, threat) = (self.group, self.threat);
        self.attempts.push(Attempt { number, group, threat, name: name.to_string(), expected, how });
    }
}

/// A packet as a frame on the attacker's link, to the plane's end.
fn on_link(scene: &Scene, packet: &[u8]) -> Vec<u8> {
    frame::ethernet(scene.attacker.port_mac, scene.attacker.mac, IPV4, packet)
}

/// That a token was seen anywhere but on the attacker's own link.
fn seen_elsewhere(scene: &Scene) -> Vec<Proof> {
    let elsewhere = [
        Place::Neighbour,
        Place::Host,
        Place::Caddy,
        Place::Router,
        Place::Cache,
        Place::Control,
        Place::Outside,
    ];
    elsewhere.into_iter().filter(|place| scene.has(*place)).map(Proof::Seen).collect()
}

/// That Caddy doesn't get to the neighbour any more.
fn not_served(scene: &Scene) -> Option<Proof> {
    let to = (scene.neighbour.address, 80);
    scene.has(Place::Caddy).then_some(Proof::NotServed { place: Place::Caddy, to })
}

/// Packets to `target` that are to take the way over a hop: by a source route, and by the hop's hardware address, which on
/// a shared wire alone would do.
fn by_way_of(scene: &Scene, hop: (Ipv4Addr, Mac), target: (Ipv4Addr, u16), mark: &Mark) -> Vec<Vec<u8>> {
    let (own, token) = (&scene.attacker, mark.token.as_bytes());
    let from = (own.address, mark.port);
    let carried =
        [(17, frame::udp_datagram(from, target, token)), (6, frame::tcp_segment(from, target, token))];
    let packets = carried.into_iter().flat_map(|(protocol, payload)| {
        let header = Ipv4::new(from.0, target.0, protocol);
        let direct = frame::ethernet(hop.1, own.mac, IPV4, &header.carrying(&payload));
        [on_link(scene, &header.by_way_of(hop.0).carrying(&payload)), direct]
    });
    packets.collect()
}

/// What makes a hop the default route, and what undoes it. Who is there is not asked for, so packets leave in any case.
fn default_route(scene: &Scene, hop: (Ipv4Addr, Mac)) -> (String, String) {
    let (address, mac) = (hop.0, hop.1.map(|byte| format!("{byte:02x}")).join(":"));
    (
        format!(
            "ip neigh replace {address} lladdr {mac} dev eth0 && ip route replace default via {address} dev eth0 onlink"
        ),
        format!(
            "ip route replace default via {} dev eth0 onlink && ip neigh del {address} dev eth0",
            scene.gateway
        ),
    )
}

fn tcp(to: impl Display, port: u16) -> Act {
    Act::Tcp { to: to.to_string(), port, from: None }
}

fn tcp_as(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Act {
    Act::Tcp { to: to.to_string(), port, from: Some(from) }
}

fn udp(to: impl Display, port: u16) -> Act {
    Act::Udp { to: to.to_string(), port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threat_has_attempts_and_each_attempt_shows_one_or_must_work() {
        let scene = Scene::example();
        let attempts = all(&scene, &Tokens::new(1));
        for threat in Threat::ALL {
            assert!(attempts.iter().any(|attempt| attempt.threat == Some(threat)), "{threat:?}");
        }
        for attempt in &attempts {
            assert_eq!(attempt.threat.is_none(), attempt.expected == Expected::Works, "{}", attempt.name);
            assert!(attempt.threat.is_none_or(|threat| Threat::ALL.contains(&threat)), "{}", attempt.name);
        }
    }

    #[test]
    fn nobody_outside_is_contacted_unless_there_is_a_lab() {
        let mut scene = Scene::example();
        scene.outside = None;
        let with_one = all(&Scene::example(), &Tokens::new(1));
        let without = all(&scene, &Tokens::new(1));
        let names = |attempts: &[Attempt]| attempts.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&with_one), names(&without), "what isn't tried is told");
        let not_tried = without.iter().filter(|attempt| attempt.how.is_err()).count();
        assert!(not_tried >= 20, "{not_tried}");
        assert!(with_one.iter().all(|attempt| attempt.how.is_ok()));
    }
}
