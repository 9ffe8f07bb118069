//! Waiting longer each time.

use std::time::Duration;

/// Waits that double from the first to the longest, and stay there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Waits {
    /// Waits that begin with `first`. A `longest` below it counts for nothing.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let now = self.next;
        self.next = now.saturating_mul(2).min(self.longest.max(self.first));
        now
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// The wait that follows so many others.
    pub fn after(&self, others: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(others));
        doubled.min(self.longest.max(self.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let seconds = Duration::from_secs;
        let mut waits = Waits::new(seconds(1), seconds(5));
        let four = |waits: &mut Waits| [(); 4].map(|()| waits.next_wait().as_secs());
        assert_eq!(four(&mut waits), [1, 2, 4, 5]);
        assert_eq!(waits.next_wait(), seconds(5));
        waits.reset();
        assert_eq!(four(&mut waits), [1, 2, 4, 5]);
        assert_eq!([0, 1, 2, 3, u32::MAX].map(|others| waits.after(others).as_secs()), [1, 2, 4, 5, 5]);
        assert_eq!(Waits::new(seconds(9), seconds(5)).after(7), seconds(9));
    }
}
