//! Probes: tests that a new configuration has to pass before it is kept, tried over the real paths, all at once.
//!
//! A server's are tried from a network of its own, linked to the plane as a server is ([`vantage`]); a visitor's at the
//! published ports ([`visit`]).

mod limit;
mod vantage;
mod visit;

use std::collections::HashSet;
use std::fmt;

use berth_plan::configuration::{Expectation, Holds, Probe};
use futures_util::future::join_all;

use limit::{Limit, Tries};
use vantage::Vantage;
pub(super) use visit::is_free;

/// Tries the probes that can be held against a change, and returns the places in the list of those that hold now.
pub(super) async fn working(platform: &str, probes: &[Expectation]) -> HashSet<usize> {
    let wanted = |(_, one): &(usize, &Expectation)| one.holds == Holds::AsBefore;
    let wanted: Vec<_> = probes.iter().enumerate().filter(wanted).collect();
    let results = try_all(platform, &wanted, Tries::One).await;
    results.into_iter().filter(|(_, failure)| failure.is_none()).map(|(index, _)| index).collect()
}

/// Tries the probes that must hold, and returns the failures.
pub(super) async fn failures(platform: &str, probes: &[Expectation], worked: &HashSet<usize>) -> Vec<String> {
    let counts = |(index, one): &(usize, &Expectation)| one.holds == Holds::Always || worked.contains(index);
    let wanted: Vec<_> = probes.iter().enumerate().filter(counts).collect();
    let results = try_all(platform, &wanted, Tries::Many).await;
    results.into_iter().filter_map(|(_, failure)| failure).collect()
}

/// Tries these probes side by side, and returns each with its failure.
async fn try_all(
    platform: &str,
    wanted: &[(usize, &Expectation)],
    tries: Tries,
) -> Vec<(usize, Option<String>)> {
    let link = wanted.iter().find_map(|(_, one)| vantage::link_of(&one.probe));
    let vantage = match link {
        Some(link) => Vantage::open(platform, link).await,
        None => Err("it is tried from nowhere".to_owned()),
    };
    let limit = Limit::of(tries);
    let attempts = wanted.iter().map(|(index, Expectation { probe, .. })| {
        let vantage = &vantage;
        async move {
            let outcome = match (vantage::link_of(probe), vantage) {
                (None, _) => visit::attempt(probe, limit).await,
                (Some(_), Ok(vantage)) => vantage.attempt(probe, limit).await,
                (Some(_), Err(why)) => Err(why.clone()),
            };
            (*index, outcome.err().map(|why| format!("{}: {why}", Told(probe))))
        }
    });
    join_all(attempts).await
}

/// A probe in words.
struct Told<'a>(&'a Probe);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Probe::Resolves { name, .. } => write!(f, "a server asks for the name {name}"),
            Probe::Forwards { .. } => f.write_str("a server asks for a name that the resolvers outside know"),
            Probe::Opens { to, .. } => {
                let to: Vec<String> = to.iter().map(ToString::to_string).collect();
                write!(f, "a server connects to {}", to.join(" or "))
            }
            Probe::Refused { to, .. } => write!(f, "a server is kept from connecting to {to}"),
            Probe::Greets { at } => write!(f, "somebody connects with SSH to port {}", at.port()),
            Probe::Answers { host, .. } => write!(f, "a visitor opens http://{host}"),
            Probe::Serves { visits, .. } => {
                let hosts: Vec<&str> = visits.iter().map(|visit| visit.host.as_str()).collect();
                write!(f, "a visitor reaches the app of {}", hosts.join(" or "))
            }
        }
    }
}
