//! Throttle of guesses: whoever fails waits, longer each time, and nobody is ever locked out.
//!
//! Counts failures of a network, of a network with one account, and of an account. Only the first two make anybody wait: a
//! good password from another network gets in while somebody else guesses. An account that is guessed at from many
//! networks allows each of them fewer mistakes. Knows addresses and times, and no sockets.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use berth_host::Waits;
use parking_lot::Mutex;

use super::gate::source;

/// Failures of a network, whatever the account, that cost nothing: many people may share it.
const NETWORK_FREE: u32 = 20;
/// Waits of a network after that. Short, since its other people wait too.
const NETWORK_WAITS: Waits = Waits::new(Duration::from_secs(1), Duration::from_secs(60));
/// Failures of a network with one account that cost nothing; and while the account is guessed at from everywhere.
const PAIR_FREE: u32 = 5;
const PAIR_FREE_GUESSED: u32 = 1;
/// Waits of a network for one account after that.
const PAIR_WAITS: Waits = Waits::new(Duration::from_secs(1), Duration::from_secs(15 * 60));
/// Failures of an account, from anywhere, from which on it is being guessed at.
const GUESSED: u32 = 50;
/// Time without a failure after which all of them are forgotten. Longer than any wait.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);
/// The most networks, pairs and accounts each that are remembered.
const REMEMBERED: usize = 65_536;

/// Counter of failures.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    networks: Tallies<IpAddr>,
    pairs: Tallies<(IpAddr, String)>,
    accounts: Tallies<String>,
}

/// An attempt that is under way. It counts as a failure until it is known not to be one, so that a thousand at once count.
#[derive(Debug)]
#[must_use = "the attempt counts as failed unless it is told that it isn't"]
pub(crate) struct Attempt<'t> {
    throttle: &'t Throttle,
    network: IpAddr,
    account: Option<String>,
}

impl Throttle {
    /// Begins an attempt, or returns how long to wait first.
    pub(crate) fn begin(
        &self,
        from: IpAddr,
        account: Option<&str>,
        now: Instant,
    ) -> Result<Attempt<'_>, Duration> {
        let network = source(from);
        let mut counts = self.0.lock();
        let mut wait = counts.networks.wait(&network, NETWORK_FREE, &NETWORK_WAITS, now);
        let account = account.map(str::to_owned);
        let pair = account.clone().map(|account| (network, account));
        if let Some(pair) = &pair {
            let guessed = counts.accounts.failures(&pair.1, now) >= GUESSED;
            let free = if guessed { PAIR_FREE_GUESSED } else { PAIR_FREE };
            wait = wait.max(counts.pairs.wait(pair, free, &PAIR_WAITS, now));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        counts.networks.add(network, now);
        if let (Some(pair), Some(account)) = (pair, &account) {
            counts.pairs.add(pair, now);
            counts.accounts.add(account.clone(), now);
        }
        Ok(Attempt { throttle: self, network, account })
    }
}

impl Attempt<'_> {
    /// The attempt was good: the network's failures with this account are forgiven.
    pub(crate) fn succeeded(self) {
        let mut counts = self.throttle.0.lock();
        if let Some(account) = &self.account {
            counts.pairs.0.remove(&(self.network, account.clone()));
        }
        drop(counts);
        self.take_back();
    }

    /// The attempt came to nothing, through no fault of whoever made it.
    pub(crate) fn take_back(self) {
        let mut counts = self.throttle.0.lock();
        counts.networks.take_back(&self.network);
        if let Some(account) = self.account {
            counts.accounts.take_back(&account);
            counts.pairs.take_back(&(self.network, account));
        }
    }
}

#[derive(Debug)]
struct Tallies<K>(HashMap<K, Tally>);

#[derive(Debug, Clone, Copy)]
struct Tally {
    failures: u32,
    last: Instant,
}

impl<K> Default for Tallies<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Tallies<K> {
    fn failures(&self, key: &K, now: Instant) -> u32 {
        self.0.get(key).filter(|tally| tally.counts(now)).map_or(0, |tally| tally.failures)
    }

    fn wait(&self, key: &K, free: u32, waits: &Waits, now: Instant) -> Duration {
        let Some(tally) = self.0.get(key).filter(|tally| tally.counts(now)) else { return Duration::ZERO };
        match tally.failures.checked_sub(free) {
            Some(over) => (tally.last + waits.after(over)).saturating_duration_since(now),
            None => Duration::ZERO,
        }
    }

    fn add(&mut self, key: K, now: Instant) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let tally = self.0.entry(key).or_insert(Tally { failures: 0, last: now });
        let before = if tally.counts(now) { tally.failures } else { 0 };
        *tally = Tally { failures: before.saturating_add(1), last: now };
    }

    fn take_back(&mut self, key: &K) {
        if let Some(tally) = self.0.get_mut(key) {
            tally.failures = tally.failures.saturating_sub(1);
            if tally.failures == 0 {
                self.0.remove(key);
            }
        }
    }

    /// Forgets what no longer counts or, where all of it does, the quarter that failed longest ago.
    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, tally| tally.counts(now));
        if self.0.len() < REMEMBERED {
            return;
        }
        let mut times: Vec<Instant> = self.0.values().map(|tally| tally.last).collect();
        let quarter = times.len() / 4;
        let (_, oldest, _) = times.select_nth_unstable(quarter);
        let oldest = *oldest;
        self.0.retain(|_, tally| tally.last > oldest);
    }
}

impl Tally {
    fn counts(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < FORGOTTEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "192.0.2.1";

    fn fail(throttle: &Throttle, from: &str, account: &str, now: Instant) -> Result<(), Duration> {
        throttle.begin(from.parse().unwrap(), Some(account), now).map(drop)
    }

    #[test]
    fn mistakes_are_free_and_guesses_wait_longer_each_time() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..5 {
            fail(&throttle, HERE, "ann", start).unwrap();
        }
        let mut now = start;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let wait = fail(&throttle, "192.0.2.200", "ann", now).unwrap_err();
            assert_eq!(wait, Duration::from_secs(seconds), "the whole /24 is one source");
            now += wait;
            fail(&throttle, HERE, "ann", now).unwrap();
        }
        // An hour without a failure, and all is forgotten.
        now += FORGOTTEN;
        for _ in 0..5 {
            fail(&throttle, HERE, "ann", now).unwrap();
        }
    }

    #[test]
    fn fifty_guesses_at_an_account_keep_nobody_else_out() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for network in 0..20 {
            let guess = || fail(&throttle, &format!("198.51.{network}.1"), "ann", now).is_ok();
            let guesses = (0..6).filter(|_| guess()).count();
            assert_eq!(guesses, if network < 10 { 5 } else { 1 }, "{network}");
        }
        // From elsewhere one gets in, even after a mistake and the wait for it.
        fail(&throttle, HERE, "ann", now).unwrap();
        assert_eq!(fail(&throttle, HERE, "ann", now), Err(Duration::from_secs(1)));
        let attempt = throttle.begin(HERE.parse().unwrap(), Some("ann"), now + Duration::from_secs(1));
        attempt.unwrap().succeeded();
        throttle.begin(HERE.parse().unwrap(), Some("ann"), now).unwrap().succeeded();
        // Others aren't touched at all.
        fail(&throttle, "198.51.1.1", "bob", now).unwrap();
    }

    #[test]
    fn a_network_that_tries_every_account_waits_too() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for account in 0..20 {
            fail(&throttle, "2001:db8::1", &format!("user-{account}"), now).unwrap();
        }
        assert_eq!(fail(&throttle, "2001:db8::2", "somebody", now), Err(Duration::from_secs(1)));
        fail(&throttle, "2001:db8:0:1::1", "somebody", now).unwrap();
        assert!(throttle.begin("2001:db8::3".parse().unwrap(), None, now).is_err());
    }

    #[test]
    fn what_is_under_way_counts_until_it_is_good() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let here: IpAddr = HERE.parse().unwrap();
        let all: Vec<_> = (0..5).map(|_| throttle.begin(here, Some("ann"), now).unwrap()).collect();
        assert!(throttle.begin(here, Some("ann"), now).is_err(), "a thousand at once are no way round");
        for attempt in all {
            attempt.take_back();
        }
        let (networks, pairs) = {
            let counts = throttle.0.lock();
            (counts.networks.0.len(), counts.pairs.0.len())
        };
        assert_eq!((networks, pairs), (0, 0));
        throttle.begin(here, Some("ann"), now).unwrap().succeeded();
        assert!(throttle.0.lock().accounts.0.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut tallies = Tallies::default();
        let start = Instant::now();
        for key in 0..REMEMBERED + 10 {
            tallies.add(key, start + Duration::from_millis(key as u64));
        }
        assert!(tallies.0.len() <= REMEMBERED);
        assert!(!tallies.0.contains_key(&0) && tallies.0.contains_key(&(REMEMBERED + 9)));
    }
}
