//! Pace of orders: one a minute for each server, so that nobody keeps it from working, and two at a time for each user, so that the
//! others' come in between. Whoever asks, and by whichever door.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_schema::name::{ServerId, UserName};
use parking_lot::Mutex;

/// Time between two orders for one server.
const PAUSE: Duration = Duration::from_secs(60);
/// Orders of one user at a time.
const EACH: usize = 2;

/// The last order for each server, as long as it counts, and the orders that run.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    last: HashMap<ServerId, Instant>,
    running: HashMap<UserName, usize>,
}

/// An order that doesn't begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The server had one, and may have the next one after this time.
    Server(Duration),
    /// The user has as many as one may have at a time.
    User,
}

/// An order that has begun. On drop it is over, and unless it was carried out, it doesn't count.
#[derive(Debug)]
pub(super) struct Turn {
    pace: Pace,
    server: ServerId,
    by: UserName,
    is_carried_out: bool,
}

impl Pace {
    /// Begins an order.
    pub(super) fn begin(&self, server: ServerId, by: &UserName, now: Instant) -> Result<Turn, Wait> {
        let mut known = self.0.lock();
        known.last.retain(|_, at| now.saturating_duration_since(*at) < PAUSE);
        if let Some(at) = known.last.get(&server) {
            return Err(Wait::Server(PAUSE.saturating_sub(now.saturating_duration_since(*at))));
        }
        let running = known.running.entry(by.clone()).or_default();
        if *running >= EACH {
            return Err(Wait::User);
        }
        *running += 1;
        known.last.insert(server, now);
        Ok(Turn { pace: self.clone(), server, by: by.clone(), is_carried_out: false })
    }
}

impl Turn {
    /// Says that the order reached the server, so that the pause holds.
    pub(super) fn carried_out(mut self) {
        self.is_carried_out = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut known = self.pace.0.lock();
        if !self.is_carried_out {
            known.last.remove(&self.server);
        }
        if let Some(running) = known.running.get_mut(&self.by) {
            *running -= 1;
            if *running == 0 {
                known.running.remove(&self.by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_one_order_a_minute_and_a_user_two_at_a_time() {
        let (pace, now) = (Pace::default(), Instant::now());
        let [one, other, third] = [1, 2, 3].map(|id: u32| ServerId(id.try_into().unwrap()));
        let (ann, bob): (UserName, UserName) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let first = pace.begin(one, &ann, now).unwrap();
        // While it runs, and whoever asks.
        let later = now + Duration::from_secs(20);
        assert_eq!(pace.begin(one, &bob, later).unwrap_err(), Wait::Server(Duration::from_secs(40)));
        let second = pace.begin(other, &ann, now).unwrap();
        assert_eq!(pace.begin(third, &ann, now).unwrap_err(), Wait::User);
        drop(pace.begin(third, &bob, now).unwrap());
        first.carried_out();
        assert!(matches!(pace.begin(one, &ann, later), Err(Wait::Server(_))), "it counts once it is over");
        // One that came to nothing doesn't.
        drop(second);
        pace.begin(other, &ann, now).unwrap().carried_out();
        pace.begin(one, &ann, now + PAUSE).unwrap().carried_out();
        let known = pace.0.lock();
        assert_eq!((known.last.len(), known.running.len()), (1, 0), "what is over is forgotten");
    }
}
