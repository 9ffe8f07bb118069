//! Probes: what a new configuration has to stand before it is kept, tried over the real paths, all at once.
//!
//! What a server may do is tried from a network of its own, linked to the plane as a server is ([`vantage`]); what a
//! visitor may do is tried at the published ports ([`visit`]).

mod vantage;
mod visit;

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use berth_plan::configuration::{Expectation, Holds, Probe};
use futures_util::future::join_all;

use vantage::Vantage;
pub(super) use visit::is_free;

/// How long what must work after a change may take, all of it together.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the answers before a change may take.
const BEFORE: Duration = Duration::from_secs(2);
/// How long an answer may take where something is tried again.
const ANSWER: Duration = Duration::from_millis(700);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// How often something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tries {
    /// A single time.
    One,
    /// Until it holds, or the time is up.
    Many,
}

/// How much is given to a probe.
#[derive(Debug, Clone, Copy)]
struct Limit {
    until: Instant,
    tries: Tries,
}

impl Limit {
    fn of(tries: Tries) -> Self {
        let time = match tries {
            Tries::One => BEFORE,
            Tries::Many => PATIENCE,
        };
        Self { until: Instant::now() + time, tries }
    }

    /// How long the next answer may take.
    fn answer(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        match self.tries {
            Tries::One => left.max(PAUSE),
            Tries::Many => left.clamp(PAUSE, ANSWER),
        }
    }

    /// Whether there is another try.
    fn goes_on(&self) -> bool {
        self.tries == Tries::Many && Instant::now() + PAUSE < self.until
    }
}

/// The probes that hold now, by their place in the list: those that can be held against a change.
pub(super) async fn working(platform: &str, probes: &[Expectation]) -> HashSet<usize> {
    let wanted = |(_, one): &(usize, &Expectation)| one.holds == Holds::AsBefore;
    let wanted: Vec<_> = probes.iter().enumerate().filter(wanted).collect();
    let results = try_all(platform, &wanted, Tries::One).await;
    results.into_iter().filter(|(_, failure)| failure.is_none()).map(|(index, _)| index).collect()
}

/// What doesn't hold and must.
pub(super) async fn failures(platform: &str, probes: &[Expectation], worked: &HashSet<usize>) -> Vec<String> {
    let counts = |(index, one): &(usize, &Expectation)| one.holds == Holds::Always || worked.contains(index);
    let wanted: Vec<_> = probes.iter().enumerate().filter(counts).collect();
    let results = try_all(platform, &wanted, Tries::Many).await;
    results.into_iter().filter_map(|(_, failure)| failure).collect()
}

/// Tries these probes side by side; each with what failed.
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
