//! Who may connect at all: a bound on connections, an early drop of half-open ones, and penalties for sources that
//! fail to log in. Knows addresses and times, no sockets.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

/// What the operator allows.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) connections: usize,
    pub(crate) half_open: HalfOpen,
    /// Of one source.
    pub(crate) half_open_each: usize,
    pub(crate) penalty_max: Duration,
    pub(crate) exempt: Vec<IpNet>,
}

/// From `start` half-open connections on, `rate` of a hundred new ones are dropped, more with each, and all at `full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HalfOpen {
    start: usize,
    rate: usize,
    full: usize,
}

/// What a source did, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offence {
    /// Credentials were refused, and none accepted.
    Refused,
    /// Nobody logged in within the time.
    TooSlow,
    /// Went away, or spoke no SSH, without trying.
    NoLogin,
}

/// Why a connection isn't let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many connections as there may be.
    Full,
    /// There are too many half-open connections, in all or of this source.
    HalfOpen,
    /// The source failed to log in too often.
    Penalty,
}

/// Connections that were refused and not told of yet: a flood is a line a second, not one each.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    full: u64,
    half_open: u64,
    penalty: u64,
    last: Option<IpAddr>,
    due: Option<Instant>,
}

/// Counts and remembers.
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
    /// Of each source that has any.
    half_open_of: HashMap<IpAddr, usize>,
    /// Until when each source pays.
    penalties: HashMap<IpAddr, Instant>,
}

/// One connection's place; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    source: IpAddr,
    exempt: bool,
    logged_in: bool,
}

/// Sources that are remembered. A flood from more forgets those that have paid, then remembers no new ones.
const SOURCES_MAX: usize = 65_536;
/// A source is refused once it owes this much: one mistake costs nobody anything.
const PENALTY_MIN: Duration = Duration::from_secs(15);

impl Admission {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, state: Mutex::default(), dice: RandomState::new(), thrown: AtomicU64::new(0) }
    }

    /// Lets a connection in, or says why not.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Ticket, Refusal> {
        let source = netblock(address);
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
        Ok(Ticket { admission: Arc::clone(self), source, exempt, logged_in: false })
    }

    /// Makes a source pay. It owes the sum of its offences and pays a second a second.
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The connection isn't half-open any more.
    pub(crate) fn log_in(&mut self) {
        if std::mem::replace(&mut self.logged_in, true) {
            return;
        }
        let mut state = self.admission.lock();
        state.half_open -= 1;
        if let Entry::Occupied(mut of_source) = state.half_open_of.entry(self.source) {
            *of_source.get_mut() -= 1;
            if *of_source.get() == 0 {
                of_source.remove();
            }
        }
    }

    /// Makes the source pay.
    pub(crate) fn punish(&self, offence: Offence, now: Instant) {
        if !self.exempt {
            self.admission.punish(self.source, offence, now);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.log_in();
        self.admission.lock().connections -= 1;
    }
}

impl Refusals {
    /// Until when refusals are gathered.
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

    /// When there is something to tell.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the line, if anybody was refused, and begins anew.
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
            Self::Refused => 5,
            Self::TooSlow => 10,
            Self::NoLogin => 1,
        })
    }
}

impl HalfOpen {
    /// Whether the next connection is dropped; `dice` is 0 to 99.
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

/// Why `--half-open` is refused.
#[derive(Debug, thiserror::Error)]
#[error("write START:RATE:FULL, such as 10:30:100, with START below FULL and RATE at most 100")]
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

/// Who counts as one source: an IPv4 address, or an IPv6 subscriber's /64.
fn netblock(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let kept = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(kept))
        }
        v4 => v4,
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
            let ticket = admission.admit(ann, now).unwrap();
            ticket.punish(Offence::Refused, now);
        }
        assert_eq!(admission.admit(ann, now).unwrap_err(), Refusal::Penalty);
        assert!(admission.admit("192.0.2.2".parse().unwrap(), now).is_ok());
        assert!(admission.admit(ann, now + Duration::from_secs(1)).is_ok());
        for _ in 0..10_000 {
            admission.punish(ann, Offence::TooSlow, now);
        }
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
            let ticket = admission.admit(format!("2001:db8::{last}").parse().unwrap(), now).unwrap();
            ticket.punish(Offence::Refused, now);
            admission.admit(ANN.parse().unwrap(), now).unwrap().punish(Offence::TooSlow, now);
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
        let mut tickets: Vec<Ticket> = (0..3).map(|_| admission.admit(ann, now).unwrap()).collect();
        assert_eq!(admission.admit(ann, now).unwrap_err(), Refusal::HalfOpen);
        assert!(admission.admit("192.0.2.2".parse().unwrap(), now).is_ok());
        tickets[0].log_in();
        assert!(admission.admit(ann, now).is_ok());
        tickets.clear();
        assert!(admission.lock().half_open_of.is_empty());
        let exempt: Vec<_> = (0..5).map(|_| admission.admit("10.1.2.3".parse().unwrap(), now)).collect();
        assert!(exempt.iter().all(Result::is_ok));
    }

    #[test]
    fn half_open_connections_are_dropped_early_and_logged_in_ones_are_not_counted() {
        let rule: HalfOpen = "10:30:100".parse().unwrap();
        assert!(!rule.drops(9, 0) && rule.drops(10, 29) && !rule.drops(10, 30) && rule.drops(100, 99));
        let (admission, now) = (admission(&[]), Instant::now());
        let mut tickets = Vec::new();
        for _ in 0..5 {
            let mut ticket = admission.admit(ANN.parse().unwrap(), now).unwrap();
            ticket.log_in();
            tickets.push(ticket);
        }
        assert_eq!(admission.admit(ANN.parse().unwrap(), now).unwrap_err(), Refusal::Full);
        tickets.clear();
        assert!(admission.admit(ANN.parse().unwrap(), now).is_ok());
        assert!("3:101:5".parse::<HalfOpen>().is_err() && "5:1:5".parse::<HalfOpen>().is_err());
    }
}
