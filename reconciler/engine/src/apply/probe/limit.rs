//! Limits of a probe: how long, and how often.

use std::time::{Duration, Instant};

/// Time for everything that must work after a change, together.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Time for the answers before a change.
const BEFORE: Duration = Duration::from_secs(2);
/// Time for one answer where something is tried again.
const ANSWER: Duration = Duration::from_millis(700);
/// Time between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Number of tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    /// A single time.
    One,
    /// Until it holds, or the time is up.
    Many,
}

/// Time and tries that a probe has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) until: Instant,
    tries: Tries,
}

impl Limit {
    pub(super) fn of(tries: Tries) -> Self {
        let time = match tries {
            Tries::One => BEFORE,
            Tries::Many => PATIENCE,
        };
        Self { until: Instant::now() + time, tries }
    }

    /// Returns the time for the next answer.
    pub(super) fn answer(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        match self.tries {
            Tries::One => left.max(PAUSE),
            Tries::Many => left.clamp(PAUSE, ANSWER),
        }
    }

    /// Returns whether this is about what holds before a change.
    pub(super) fn is_before(&self) -> bool {
        self.tries == Tries::One
    }

    /// Returns whether there is another try.
    pub(super) fn goes_on(&self) -> bool {
        self.tries == Tries::Many && Instant::now() + PAUSE < self.until
    }
}
