//! Tickets that wait for the SSH router to redeem them: each lets the panel into one server for one act.
//!
//! Kept in memory alone, as digests: a ticket lasts for moments, and the door's end is the end of every lease.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use berth_schema::ticket::{Errand, GOOD};
use parking_lot::Mutex;

use super::means::Means;
use super::secret::Digest;

/// Tickets of one person that wait to be redeemed.
const EACH: usize = 32;

/// The tickets that wait to be redeemed, by digest.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<Digest, Held>>);

#[derive(Debug)]
struct Held {
    leased: Leased,
    until: Instant,
}

/// A redeemed ticket: the act, and the session that it stands on.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) errand: Errand,
    pub(crate) token: Digest,
    /// Digest of the person's standing when they signed in.
    pub(crate) standing: Digest,
    /// Means by which they signed in.
    pub(crate) means: Means,
}

impl Tickets {
    /// Keeps a ticket, or returns how long to wait first.
    pub(crate) fn keep(&self, ticket: Digest, leased: Leased, now: Instant) -> Result<(), Duration> {
        let mut held = self.0.lock();
        held.retain(|_, one| now < one.until);
        let of_person = |one: &&Held| one.leased.errand.user == leased.errand.user;
        if held.values().filter(of_person).count() >= EACH {
            let first = held.values().filter(of_person).map(|one| one.until).min();
            return Err(first.map_or(GOOD, |until| until.saturating_duration_since(now)));
        }
        held.insert(ticket, Held { leased, until: now + GOOD });
        Ok(())
    }

    /// Takes a ticket that is still good.
    pub(crate) fn take(&self, ticket: Digest, now: Instant) -> Option<Leased> {
        let found = self.0.lock().remove(&ticket)?;
        (now < found.until).then_some(found.leased)
    }
}

#[cfg(test)]
mod tests {
    use berth_schema::ticket::Act;

    use super::*;

    fn leased(user: &str) -> Leased {
        let errand = Errand {
            user: user.parse().unwrap(),
            server: berth_schema::name::ServerId(1.try_into().unwrap()),
            act: Act::Terminal,
            from: "192.0.2.1".parse().unwrap(),
        };
        Leased {
            errand,
            token: Digest::of("token"),
            standing: Digest::of("standing"),
            means: Means::default(),
        }
    }

    #[test]
    fn a_ticket_is_taken_once_and_in_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let [one, other, late] = ["one", "other", "late"].map(Digest::of);
        for ticket in [one, other, late] {
            tickets.keep(ticket, leased("ann"), now).unwrap();
        }
        assert!(tickets.take(one, now).is_some());
        assert!(tickets.take(one, now).is_none(), "used");
        assert!(tickets.take(Digest::of("none"), now).is_none());
        assert!(tickets.take(other, now + GOOD - Duration::from_millis(1)).is_some());
        assert!(tickets.take(late, now + GOOD).is_none(), "too old");
    }

    #[test]
    fn a_person_has_so_many_and_leaves_room_for_others() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for at in 0..EACH {
            tickets.keep(Digest::of(&at.to_string()), leased("ann"), now).unwrap();
        }
        assert_eq!(tickets.keep(Digest::of("more"), leased("ann"), now), Err(GOOD));
        tickets.keep(Digest::of("bob's"), leased("bob"), now).unwrap();
        tickets.keep(Digest::of("later"), leased("ann"), now + GOOD).unwrap();
        assert_eq!(tickets.0.lock().len(), 1, "what is too old is forgotten");
    }
}
