//! A limit on the strangers' requests that are answered and logged in a while, whoever they come from.
//!
//! The server before the listener hides the senders, so the limit is one for all. The forge's own requests are signed and don't count.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A bucket that fills up with time.
#[derive(Debug)]
pub(crate) struct Limit {
    burst: f64,
    every: Duration,
    state: Mutex<(f64, Instant)>,
}

impl Limit {
    /// `burst` requests at once, and one more for each `every` that passes.
    pub(crate) fn new(burst: u32, every: Duration, now: Instant) -> Self {
        Self { burst: f64::from(burst), every, state: Mutex::new((f64::from(burst), now)) }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let (left, since) = *state;
        let filled = now.saturating_duration_since(since).div_duration_f64(self.every);
        let left = (left + filled).min(self.burst);
        let taken = left >= 1.0;
        *state = (if taken { left - 1.0 } else { left }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let start = Instant::now();
        let limit = Limit::new(3, Duration::from_secs(1), start);
        let taken = |after| (0..5).filter(|_| limit.take(start + Duration::from_millis(after))).count();
        assert_eq!(taken(0), 3);
        assert_eq!(taken(999), 0);
        assert_eq!(taken(2500), 2);
        assert_eq!(taken(3_600_000), 3, "it doesn't fill beyond the burst");
    }
}
