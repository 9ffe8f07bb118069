//! The pace of asking a CA: deadlines, waits after failures, the moment to renew.

use std::time::Duration;

use berth_host::Waits;
use berth_wire::certificate::{FailedOrder, OrderFailure};
use jiff::Timestamp;

/// Deadlines and waits.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time for the CA to answer a request.
    pub request: Duration,
    /// Time for the CA to finish an order.
    pub order: Duration,
    /// Wait after the first failure. The next are twice as long each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// The shortest wait after the CA said that there were too many orders.
    pub limited: Duration,
    /// The longest wait where the CA wasn't asked: for a secret, a zone, a folder.
    pub near: Duration,
    /// Time between two looks whether something is due.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            request: Duration::from_secs(30),
            order: minutes(5),
            // Let's Encrypt allows five failed proofs of a name an hour.
            first: minutes(2),
            longest: minutes(4 * 60),
            limited: minutes(60),
            near: minutes(1),
            look: Duration::from_secs(10),
        }
    }
}

impl Pace {
    /// Returns whether the wait after a failure isn't over yet. A wait that is longer than any comes from a clock that was wrong.
    pub fn is_waiting(&self, failed: &FailedOrder, now: Timestamp) -> bool {
        now < failed.again && failed.again <= later(now, self.longest.max(self.limited))
    }

    /// The record of a failure at `at` that follows `last`, with the moment of the next try.
    pub fn failed(
        &self,
        last: Option<&FailedOrder>,
        kind: OrderFailure,
        why: String,
        at: Timestamp,
    ) -> FailedOrder {
        let before = last.map_or(0, |last| last.before.saturating_add(1));
        let wait = Waits::new(self.first, self.longest).after(before);
        let wait = match kind {
            OrderFailure::RateLimited => wait.max(self.limited),
            // Nobody counts these but we.
            OrderFailure::Secret | OrderFailure::Zone | OrderFailure::Folder => wait.min(self.near),
            _ => wait,
        };
        FailedOrder { kind, why, at, before, again: later(at, wait) }
    }
}

/// The moment to order another certificate: two thirds of this one's time are over then.
pub fn renew_at(begins: Timestamp, ends: Timestamp) -> Timestamp {
    let third = ends.duration_since(begins) / 3;
    ends.saturating_sub(third).unwrap_or(ends)
}

fn later(moment: Timestamp, wait: Duration) -> Timestamp {
    moment.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_a_third_of_its_time_before_its_end() {
        let day = |day: &str| format!("2026-01-{day}T00:00:00Z").parse::<Timestamp>().unwrap();
        assert_eq!(renew_at(day("01"), day("31")), day("21"));
    }

    #[test]
    fn waits_grow_and_the_ca_says_how_much() {
        let (pace, now) = (Pace::default(), "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        let minutes = |failed: &FailedOrder| failed.again.duration_since(now).as_mins();
        let fails = |last, kind| pace.failed(last, kind, String::new(), now);
        let first = fails(None, OrderFailure::Silent);
        let second = fails(Some(&first), OrderFailure::Silent);
        assert_eq!((minutes(&first), minutes(&second), second.before), (2, 4, 1));
        assert_eq!(minutes(&fails(None, OrderFailure::RateLimited)), 60);
        assert_eq!(minutes(&fails(Some(&second), OrderFailure::Zone)), 1);
    }

    #[test]
    fn a_wait_ends_and_one_by_a_wrong_clock_doesn_t_count() {
        let (pace, now) = (Pace::default(), "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        let failed = pace.failed(None, OrderFailure::Silent, String::new(), now);
        assert!(pace.is_waiting(&failed, now) && !pace.is_waiting(&failed, failed.again));
        let year = later(now, Duration::from_secs(365 * 24 * 60 * 60));
        assert!(!pace.is_waiting(&FailedOrder { again: year, ..failed }, now));
    }
}
