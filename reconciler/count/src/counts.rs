//! Counts in memory. Counting is one addition; nobody waits for anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::series::{BUCKETS, Counted, Process, Timed};

/// Buckets of durations, and the one beyond the last bound.
const ALL_BUCKETS: usize = BUCKETS.len() + 1;

/// Counts of this process.
static OURS: Live = Live::new();

struct Live {
    counted: [AtomicU64; Counted::ALL.len()],
    timed: [LiveTimes; Timed::ALL.len()],
}

struct LiveTimes {
    buckets: [AtomicU64; ALL_BUCKETS],
    micros: AtomicU64,
}

impl Live {
    const fn new() -> Self {
        Self {
            counted: [const { AtomicU64::new(0) }; Counted::ALL.len()],
            timed: [const {
                LiveTimes { buckets: [const { AtomicU64::new(0) }; ALL_BUCKETS], micros: AtomicU64::new(0) }
            }; Timed::ALL.len()],
        }
    }
}

/// Counts one of these, `times` times.
pub fn count(what: Counted, times: u64) {
    if let Some(counter) = OURS.counted.get(what as usize) {
        counter.fetch_add(times, Ordering::Relaxed);
    }
}

/// Counts one of these, which took so long.
pub fn took(what: Timed, time: Duration) {
    let seconds = time.as_secs_f64();
    let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
    let Some(times) = OURS.timed.get(what as usize) else { return };
    if let Some(counter) = times.buckets.get(bucket) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    times.micros.fetch_add(micros, Ordering::Relaxed);
}

/// Returns the counts of this process as they are now.
pub fn now() -> Counts {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Counts {
        counted: std::array::from_fn(|place| OURS.counted.get(place).map(load).unwrap_or_default()),
        timed: std::array::from_fn(|place| {
            let Some(times) = OURS.timed.get(place) else { return Times::default() };
            let bucket = |place| times.buckets.get(place).map(load).unwrap_or_default();
            Times { buckets: std::array::from_fn(bucket), micros: load(&times.micros) }
        }),
    }
}

/// Counts at one moment, of one process or of several together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub(crate) counted: [u64; Counted::ALL.len()],
    pub(crate) timed: [Times; Timed::ALL.len()],
}

/// Durations of one series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) buckets: [u64; ALL_BUCKETS],
    pub(crate) micros: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { counted: [0; Counted::ALL.len()], timed: [Times::default(); Timed::ALL.len()] }
    }
}

impl Counts {
    /// Number of these.
    pub fn of(&self, what: Counted) -> u64 {
        self.counted.get(what as usize).copied().unwrap_or_default()
    }

    /// Numbers of these in each bucket, the last without a bound, and the seconds that all took together.
    pub fn times(&self, what: Timed) -> (&[u64], f64) {
        match self.timed.get(what as usize) {
            // Seconds of centuries have no use for the last digits.
            Some(times) => (&times.buckets, Duration::from_micros(times.micros).as_secs_f64()),
            None => (&[], 0.0),
        }
    }

    /// Adds the counts of another process.
    pub fn add(&mut self, other: &Self) {
        let sum = |one: &mut u64, other: u64| *one = one.saturating_add(other);
        self.counted.iter_mut().zip(other.counted).for_each(|(one, other)| sum(one, other));
        for (one, other) in self.timed.iter_mut().zip(other.timed) {
            one.buckets.iter_mut().zip(other.buckets).for_each(|(one, other)| sum(one, other));
            sum(&mut one.micros, other.micros);
        }
    }

    /// Keeps of them what is this process's to count.
    pub fn only(mut self, process: Process) -> Self {
        for (one, number) in Counted::ALL.iter().zip(&mut self.counted) {
            if one.process() != process {
                *number = 0;
            }
        }
        for (one, times) in Timed::ALL.iter().zip(&mut self.timed) {
            if one.process() != process {
                *times = Times::default();
            }
        }
        self
    }

    /// Returns whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_once_and_adds_up() {
        // Of this test alone: the counts are the process's.
        let before = now();
        count(Counted::Gate5xx, 2);
        took(Timed::Lobby, Duration::from_millis(25));
        took(Timed::Lobby, Duration::from_secs(3600));
        let mut after = now();
        assert_eq!(after.of(Counted::Gate5xx) - before.of(Counted::Gate5xx), 2);
        assert_eq!(after.times(Timed::Lobby), (&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], 3600.025));
        let other = after.clone();
        after.add(&other);
        assert_eq!(after.of(Counted::Gate5xx), 4);
        assert_eq!(after.times(Timed::Lobby).0[1], 2);
        assert!(Counts::default().is_empty() && !after.is_empty());
        // The gate's word on what the door does is worth nothing.
        let gates = after.only(Process::Gate);
        assert_eq!((gates.of(Counted::Gate5xx), gates.times(Timed::Lobby)), (4, (&[0; 11][..], 0.0)));
    }
}
