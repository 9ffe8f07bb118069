//! The attempts, by group: each file is a list of what a hostile root may try, and of what must work all the same.

mod allowed;
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
use super::frame::{self, IPV4};
use super::scene::Scene;
use super::sighting::Tokens;

/// Why what needs an internet isn't tried without one of its own.
const CONTACTS_OTHERS: &str = "would contact somebody outside the platform";

/// Every attempt, in the order in which they are tried.
pub(crate) fn all(scene: &Scene, tokens: &Tokens) -> Vec<Attempt> {
    let mut suite = Suite { scene, tokens, group: Group::Allowed, attempts: Vec::new() };
    let groups: [(Group, List); 10] = [
        (Group::Allowed, allowed::list),
        (Group::Internet, internet::list),
        (Group::Machine, machine::list),
        (Group::Gateway, gateway::list),
        (Group::Services, services::list),
        (Group::Neighbour, neighbour::list),
        (Group::Wire, wire::list),
        (Group::Identity, identity::list),
        (Group::Names, names::list),
        // Last: a limit that a flood has reached holds for a while.
        (Group::Floods, floods::list),
    ];
    for (group, list) in groups {
        suite.group = group;
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
    attempts: Vec<Attempt>,
}

/// What tells one attempt's packets from all others.
struct Mark {
    token: String,
    /// A port that no other attempt uses.
    port: u16,
}

impl Suite<'_> {
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
        self.push(Attempt { number, group: self.group, name: name.to_string(), expected, how: Err(why) });
    }

    fn none_here(&mut self, names: &[impl Display], expected: Expected, why: &'static str) {
        for name in names {
            self.not_here(name, expected, why);
        }
    }

    fn add(&mut self, name: impl Display, expected: Expected, trial: impl FnOnce(&Mark) -> Trial) {
        let number = self.next();
        let mark = Mark { token: self.tokens.of(number), port: 20_000 + number };
        let how = Ok(trial(&mark));
        self.push(Attempt { number, group: self.group, name: name.to_string(), expected, how });
    }

    fn next(&self) -> u16 {
        u16::try_from(self.attempts.len() + 1).unwrap_or(u16::MAX)
    }

    fn push(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
    }
}

/// A packet as a frame on the attacker's link, to the plane's end.
fn on_link(scene: &Scene, packet: &[u8]) -> Vec<u8> {
    frame::ethernet(scene.attacker.port_mac, scene.attacker.mac, IPV4, packet)
}

/// That a token was seen anywhere but on the attacker's own link.
fn seen_elsewhere(scene: &Scene) -> Vec<Proof> {
    let elsewhere =
        [Place::Neighbour, Place::Host, Place::Caddy, Place::Router, Place::Cache, Place::Outside];
    elsewhere.into_iter().filter(|place| scene.has(*place)).map(Proof::Seen).collect()
}

/// That Caddy doesn't get to the neighbour any more.
fn not_served(scene: &Scene) -> Option<Proof> {
    let to = (scene.neighbour.address, 80);
    scene.has(Place::Caddy).then_some(Proof::NotServed { place: Place::Caddy, to })
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
