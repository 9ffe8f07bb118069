//! Admission of connections: a bound on all of them, an early drop of half-open ones, and penalties for sources that fail to
//! log in. Knows addresses and times, and no sockets.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_host::network_of;
use ipnet::IpNet;
use parking_lot::{Mutex, MutexGuard};

/// Limits that the operator sets.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) connections: usize,
    pub(crate) half_open: HalfOpen,
    /// Half-open connections of one source.
    pub(crate) half_open_each: usize,
    pub(crate) penalty_max: Duration,
    pub(crate) exempt: Vec<IpNet>,
}

/// Rule that drops new connections while many are half-open: `rate` in a hundred from `start` on, more with every further
/// one, and all at `full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HalfOpen {
    start: usize,
    rate: usize,
    full: usize,
}

/// Offence of a source, which costs it time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offence {
    /// Keys were refused, and nothing accepted.
    Refused,
    /// A password was refused, however the connection goes on.
    Password,
    /// Nobody logged in within the time.
    TooSlow,
    /// The client left, or spoke no SSH, without an attempt to log in.
    NoLogin,
}

/// Reasons why a connection isn't admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many connections as there may be.
    Full,
    /// There are too many half-open connections, in all or from this source.
    HalfOpen,
    /// The source failed to log in too often.
    Penalty,
}

/// Refused connections that the log doesn't have yet. They are gathered, so that a flood makes one line a second.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    full: u64,
    half_open: u64,
    penalty: u64,
    last: Option<IpAddr>,
    due: Option<Instant>,
}

/// Counter of connections and memory of penalties.
#[derive(Debug)]
pub(crate) struct Admission {
    rules: Rules,
    state: Mutex<State>,
    dice: RandomState,
    thrown: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    half_open: usize,
    /// Half-open connections of every source that has any.
    half_open_of: HashMap<IpAddr, usize>,
    /// Time at which every source has paid.
    penalties: HashMap<IpAddr, Instant>,
}

/// One connection's place; given back on drop.
#[derive(Debug)]
pub(crate) struct Admitted {
    source: Source,
    logged_in: bool,
}

/// Source of a connection, which pays for offences.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    admission: Arc<Admission>,
    block: IpAddr,
    exempt: bool,
}

/// Most sources that are remembered. Beyond that, sources that have paid are forgotten; if none has, no new ones are
/// remembered.
const SOURCES_MAX: usize = 65_536;
/// Debt from which on a source is refused. A single mistake stays below it.
const PENALTY_MIN: Duration = Duration::from_secs(15);

impl Admission {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, state: Mutex::default(), dice: RandomState::new(), thrown: AtomicU64::new(0) }
    }

    /// Admits a connection, or tells why not.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Admitted, Refusal> {
        let source = network_of(address, 32);
        let exempt = self.rules.exempt.iter().any(|net| net.contains(&address.to_canonical()));
        let mut state = self.lock();
        if state.connections >= self.rules.connections {
            return Err(Refusal::Full);
        }
        if state.penalties.get(&source).is_some_and(|until| *until >= now + PENALTY_MIN) {
            return Err(Refusal::Penalty);
        }
        let of_source = state.half_open_of.get(&source).copied().unwrap_or_default();
        let too_many = !exempt && of_source >= self.rules.half_open_each;
        if too_many || self.rules.half_open.drops(state.half_open, self.throw()) {
            return Err(Refusal::HalfOpen);
        }
        state.connections += 1;
        state.half_open += 1;
        state.half_open_of.insert(source, of_source + 1);
        let source = Source { admission: Arc::clone(self), block: source, exempt };
        Ok(Admitted { source, logged_in: false })
    }

    /// Returns whether any source is refused for what it did.
    pub(crate) fn refuses_anybody(&self, now: Instant) -> bool {
        self.lock().penalties.values().any(|until| *until >= now + PENALTY_MIN)
    }

    /// Adds an offence to a source's debt. The debt shrinks by a second every second.
    fn punish(&self, source: IpAddr, offence: Offence, now: Instant) {
        let mut state = self.lock();
        if state.penalties.len() >= SOURCES_MAX {
            state.penalties.retain(|_, until| *until > now);
            if state.penalties.len() >= SOURCES_MAX {
                return;
            }
        }
        let owed = state.penalties.get(&source).map_or(Duration::ZERO, |until| until.duration_since(now));
        let owes = (owed + offence.cost()).min(self.rules.penalty_max + PENALTY_MIN);
        if owed < PENALTY_MIN && owes >= PENALTY_MIN {
            tracing::info!(%source, seconds = (owes - PENALTY_MIN).as_secs(), "source refused for a while");
        }
        state.penalties.insert(source, now + owes);
    }

    fn throw(&self) -> u64 {
        self.dice.hash_one(self.thrown.fetch_add(1, Ordering::Relaxed)) % 100
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Source {
    /// Adds an offence to the debt, unless the source is exempt.
    pub(crate) fn punish(&self, offence: Offence, now: Instant) {
        if !self.exempt {
            self.admission.punish(self.block, offence, now);
        }
    }

    /// Address that stands for the source: its own, or the first of its /64.
    pub(crate) fn block(&self) -> IpAddr {
        self.block
    }
}

impl Admitted {
    /// Returns the connection's source.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Notes that the connection is no longer half-open.
    pub(crate) fn log_in(&mut self) {
        if std::mem::replace(&mut self.logged_in, true) {
            return;
        }
        let mut state = self.source.admission.lock();
        state.half_open -= 1;
        if let Entry::Occupied(mut of_source) = state.half_open_of.entry(self.source.block) {
            *of_source.get_mut() -= 1;
            if *of_source.get() == 0 {
                of_source.remove();
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.log_in();
        self.source.admission.lock().connections -= 1;
    }
}

impl Refusals {
    /// Time for which refusals are gathered.
    const GATHER: Duration = Duration::from_secs(1);

    pub(crate) fn add(&mut self, source: IpAddr, refusal: Refusal, now: Instant) {
        *match refusal {
            Refusal::Full => &mut self.full,
            Refusal::HalfOpen => &mut self.half_open,
            Refusal::Penalty => &mut self.penalty,
        } += 1;
        self.last = Some(source);
        self.due.get_or_insert(now + Self::GATHER);
    }

    /// Returns the time at which the line is due, if anybody was refused.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the line, if anybody was refused, and begins again.
    pub(crate) fn tell(&mut self) {
        let Self { full, half_open, penalty, last, .. } = std::mem::take(self);
        if let Some(last) = last {
            tracing::info!(full, half_open, penalty, %last, "connections refused");
        }
    }
}

impl Offence {
    fn cost(self) -> Duration {
        Duration::from_secs(match self {
            Self::Refused | Self::Password => 5,
            Self::TooSlow => 10,
            Self::NoLogin => 1,
        })
    }
}

impl HalfOpen {
    /// Returns whether the next connection is dropped. `dice` is 0 to 99.
    fn drops(self, half_open: usize, dice: u64) -> bool {
        if half_open < self.start {
            return false;
        }
        if half_open >= self.full {
            return true;
        }
        let risen = (100 - self.rate) * (half_open - self.start) / (self.full - self.start).max(1);
        dice < (self.rate + risen) as u64
    }
}

/// Refusal of a value for `--half-open`.
#[derive(Debug, thiserror::Error)]
#[error("write START:RATE:FULL, such as 10:30:100, with START less than FULL and RATE at most 100")]
pub(crate) struct BadHalfOpen;

impl FromStr for HalfOpen {
    type Err = BadHalfOpen;
    fn from_str(text: &str) -> Result<Self, BadHalfOpen> {
        let parts: Vec<usize> =
            text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| BadHalfOpen)?;
        match parts[..] {
            [start, rate, full] if start < full && rate <= 100 => Ok(Self { start, rate, full }),
            _ => Err(BadHalfOpen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(exempt: &[&str]) -> Arc<Admission> {
        Arc::new(Admission::new(Rules {
            connections: 5,
            half_open: "2:50:4".parse().unwrap(),
            half_open_each: 3,
            penalty_max: Duration::from_mins(10),
            exempt: exempt.iter().map(|net| net.parse().unwrap()).collect(),
        }))
    }

    const ANN: &str = "192.0.2.1";

    #[test]
    fn one_mistake_is_free_and_many_close_the_door_for_a_while() {
        let (admission, now) = (admission(&[]), Instant::now());
        let ann: IpAddr = ANN.parse().unwrap();
        for _ in 0..3 {
            let admitted = admission.admit(ann, now).unwrap();
            admitted.source().punish(Offence::Refused, now);
        }
        assert_eq!(admission.admit(ann, now).unwrap_err(), Refusal::Penalty);
        assert!(admission.admit("192.0.2.2".parse().unwrap(), now).is_ok());
        assert!(admission.admit(ann, now + Duration::from_secs(1)).is_ok());
        for _ in 0..10_000 {
            admission.punish(ann, Offence::TooSlow, now);
        }
        assert!(admission.refuses_anybody(now + Duration::from_secs(500)));
        assert!(!admission.refuses_anybody(now + Duration::from_secs(601)));
        assert!(admission.admit(ann, now + Duration::from_secs(601)).is_ok(), "the penalty has a ceiling");
    }

    #[test]
    fn refusals_are_gathered_for_a_second_and_told_once() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.due(), None);
        for (after, refusal) in [(0, Refusal::HalfOpen), (300, Refusal::Penalty), (900, Refusal::HalfOpen)] {
            refusals.add(ANN.parse().unwrap(), refusal, now + Duration::from_millis(after));
        }
        assert_eq!(refusals.due(), Some(now + Duration::from_secs(1)));
        assert_eq!((refusals.full, refusals.half_open, refusals.penalty), (0, 2, 1));
        refusals.tell();
        assert_eq!((refusals.due(), refusals.half_open, refusals.last), (None, 0, None));
    }

    #[test]
    fn a_v6_subscriber_is_one_source_and_an_exempt_net_pays_nothing() {
        let (admission, now) = (admission(&["192.0.2.0/24"]), Instant::now());
        for last in 1..=3 {
            let admitted = admission.admit(format!("2001:db8::{last}").parse().unwrap(), now).unwrap();
            admitted.source().punish(Offence::Refused, now);
            admission.admit(ANN.parse().unwrap(), now).unwrap().source().punish(Offence::TooSlow, now);
        }
        assert_eq!(admission.admit("2001:db8::9".parse().unwrap(), now).unwrap_err(), Refusal::Penalty);
        assert!(admission.admit("2001:db8:0:1::9".parse().unwrap(), now).is_ok());
        assert!(admission.admit(ANN.parse().unwrap(), now).is_ok());
    }

    #[test]
    fn one_source_takes_no_other_sources_place() {
        let rules =
            Rules { half_open: "100:30:200".parse().unwrap(), ..admission(&["10.0.0.0/8"]).rules.clone() };
        let (admission, now) = (Arc::new(Admission::new(rules)), Instant::now());
        let ann: IpAddr = ANN.parse().unwrap();
        let mut admitted: Vec<Admitted> = (0..3).map(|_| admission.admit(ann, now).unwrap()).collect();
        assert_eq!(admission.admit(ann, now).unwrap_err(), Refusal::HalfOpen);
        assert!(admission.admit("192.0.2.2".parse().unwrap(), now).is_ok());
        admitted[0].log_in();
        assert!(admission.admit(ann, now).is_ok());
        admitted.clear();
        assert!(admission.lock().half_open_of.is_empty());
        let exempt: Vec<_> = (0..5).map(|_| admission.admit("10.1.2.3".parse().unwrap(), now)).collect();
        assert!(exempt.iter().all(Result::is_ok));
    }

    #[test]
    fn half_open_connections_are_dropped_early_and_logged_in_ones_are_not_counted() {
        let rule: HalfOpen = "10:30:100".parse().unwrap();
        assert!(!rule.drops(9, 0) && rule.drops(10, 29) && !rule.drops(10, 30) && rule.drops(100, 99));
        let (admission, now) = (admission(&[]), Instant::now());
        let mut all = Vec::new();
        for _ in 0..5 {
            let mut admitted = admission.admit(ANN.parse().unwrap(), now).unwrap();
            admitted.log_in();
            all.push(admitted);
        }
        assert_eq!(admission.admit(ANN.parse().unwrap(), now).unwrap_err(), Refusal::Full);
        all.clear();
        assert!(admission.admit(ANN.parse().unwrap(), now).is_ok());
        assert!("3:101:5".parse::<HalfOpen>().is_err() && "5:1:5".parse::<HalfOpen>().is_err());
    }
}
