//! People whom the provider knows and nobody here, for as long as they choose a name. In memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::gate::source;
use super::super::secret::{Digest, NoRandom, fresh};
use super::word::Word;

/// Time for which somebody may choose a name.
const GOOD_FOR: Duration = Duration::from_secs(10 * 60);
/// The most of them. One more ends the oldest.
const ALL: usize = 1024;
/// The most people of one network who join, or ask an admin to agree, within a time. Many may share one.
const ASKS: usize = 20;
const ASKS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// People who may join.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    known: Mutex<HashMap<Digest, Stranger>>,
    /// Times at which somebody of a network joined, or asked an admin to agree.
    asked: Mutex<HashMap<IpAddr, Vec<Instant>>>,
}

#[derive(Debug)]
struct Stranger {
    word: Word,
    at: Instant,
}

impl Strangers {
    /// Remembers somebody, and returns the secret that stands for them.
    pub(super) fn give(&self, word: Word, now: Instant) -> Result<String, NoRandom> {
        let secret = fresh()?;
        let mut known = self.known.lock();
        known.retain(|_, one| one.is_good(now) && one.word.account != word.account);
        if known.len() >= ALL
            && let Some(oldest) = known.iter().min_by_key(|(_, one)| one.at).map(|(digest, _)| *digest)
        {
            known.remove(&oldest);
        }
        known.insert(Digest::of(&secret), Stranger { word, at: now });
        Ok(secret)
    }

    /// Finds somebody by their secret.
    pub(super) fn find(&self, secret: &str, now: Instant) -> Option<Word> {
        let known = self.known.lock();
        known.get(&Digest::of(secret)).filter(|one| one.is_good(now)).map(|one| one.word.clone())
    }

    /// Counts that somebody of a network joins, or asks an admin to agree, or returns how long to wait first.
    pub(super) fn ask(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut asked = self.asked.lock();
        asked.retain(|_, times| {
            times.retain(|at| now.saturating_duration_since(*at) < ASKS_WITHIN);
            !times.is_empty()
        });
        let times = asked.entry(source(from)).or_default();
        if let (true, Some(first)) = (times.len() >= ASKS, times.first()) {
            return Err(ASKS_WITHIN.saturating_sub(now.saturating_duration_since(*first)));
        }
        times.push(now);
        Ok(())
    }

    /// Counts it no more: nobody has joined or asked.
    pub(super) fn take_back(&self, from: IpAddr, at: Instant) {
        if let Some(times) = self.asked.lock().get_mut(&source(from))
            && let Some(one) = times.iter().rposition(|time| *time == at)
        {
            times.remove(one);
        }
    }

    /// Forgets somebody.
    pub(super) fn end(&self, secret: &str) {
        self.known.lock().remove(&Digest::of(secret));
    }
}

impl Stranger {
    fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < GOOD_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_asks_so_often_and_leaves_room_for_others() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let [here, there]: [IpAddr; 2] = ["192.0.2.1", "198.51.100.1"].map(|text| text.parse().unwrap());
        for _ in 0..ASKS {
            strangers.ask(here, now).unwrap();
        }
        assert_eq!(strangers.ask(here, now), Err(ASKS_WITHIN));
        strangers.ask(there, now).unwrap();
        strangers.take_back(here, now);
        strangers.ask(here, now).unwrap();
        assert_eq!(strangers.ask(here, now), Err(ASKS_WITHIN));
        strangers.ask(here, now + ASKS_WITHIN).unwrap();
    }

    #[test]
    fn a_stranger_is_known_for_ten_minutes_and_by_the_newest_secret() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let word = Word {
            account: "https://h.org 1".parse().unwrap(),
            email: None,
            is_unverified: false,
            groups: Vec::new(),
            called: None,
            proved: None,
        };
        let first = strangers.give(word.clone(), now).unwrap();
        let second = strangers.give(word.clone(), now).unwrap();
        assert_eq!((strangers.find(&first, now), strangers.find(&second, now)), (None, Some(word)));
        assert_eq!(strangers.find(&second, now + GOOD_FOR), None);
        strangers.end(&second);
        assert_eq!(strangers.find(&second, now), None);
    }
}
