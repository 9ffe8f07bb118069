//! Times of one thing, measured several times: median and range.

use std::fmt;
use std::time::{Duration, Instant};

/// Measured times, in the order in which they were measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Measures once, and hands on what came of it.
    pub(crate) fn measure<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = act();
        self.push(started.elapsed());
        value
    }

    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The middle one; with an even number of rounds the slower of the two.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The time that this share of all stays below: 0.99 for the slowest in a hundred.
    pub(crate) fn below(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        let place = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Adds those of another.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn rounds(&self) -> usize {
        self.0.len()
    }

    /// Returns how many times as long this takes as the other, by their medians.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        self.median().as_secs_f64() / other.median().as_secs_f64()
    }
}

/// `12.3 ms (11.9–14.0)`
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = self.median();
        let (unit, scale) = match median.as_secs_f64() {
            seconds if seconds >= 1.0 => ("s", 1.0),
            seconds if seconds >= 0.001 => ("ms", 1e3),
            _ => ("µs", 1e6),
        };
        let number = |time: Duration| {
            let value = time.as_secs_f64() * scale;
            let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
            format!("{value:.decimals$}")
        };
        let (least, most) = (self.0.iter().min().copied(), self.0.iter().max().copied());
        let range = (number(least.unwrap_or_default()), number(most.unwrap_or_default()));
        write!(f, "{} {unit} ({}–{})", number(median), range.0, range.1)
    }
}
