//! Signs of life of the loop that does a process's work. No timer gives them: where the loop hangs, they end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Signs of life of one process. By default they go nowhere.
#[derive(Debug, Clone)]
pub struct Pulse {
    beat: fn(),
    /// Time of the last one.
    last: Arc<Mutex<Option<Instant>>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new(|| ())
    }
}

impl Pulse {
    /// The longest time between two signs of a loop that waits.
    pub const EVERY: Duration = Duration::from_secs(10);

    /// Signs of life that are given by `beat`.
    pub(crate) fn new(beat: fn()) -> Self {
        Self { beat, last: Arc::default() }
    }

    /// Gives a sign of life, unless the last one was a moment ago.
    pub fn beat(&self) {
        let now = Instant::now();
        {
            let mut last = self.last.lock();
            if last.is_some_and(|last| now < last + Self::EVERY) {
                return;
            }
            *last = Some(now);
        }
        (self.beat)();
    }

    /// Waits for the next piece of work, and gives signs of life meanwhile. What is waited for here may take any time; work, which may hang, is
    /// awaited without.
    pub async fn wait<T>(&self, next: impl Future<Output = T>) -> T {
        let mut next = pin!(next);
        loop {
            self.beat();
            tokio::select! {
                next = &mut next => return next,
                () = sleep_until(self.due()) => {}
            }
        }
    }

    fn due(&self) -> Instant {
        self.last.lock().map_or_else(Instant::now, |last| last + Self::EVERY)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_waits_or_is_busy_beats_and_one_that_works_too_long_does_not() {
        static BEATS: AtomicUsize = AtomicUsize::new(0);
        let pulse = Pulse::new(|| {
            BEATS.fetch_add(1, Ordering::Relaxed);
        });
        let beats = || BEATS.swap(0, Ordering::Relaxed);
        pulse.wait(sleep(Pulse::EVERY * 4 + Duration::from_secs(1))).await;
        assert_eq!(beats(), 5, "at once, and four times while it waits");
        // The next piece of work is always there.
        for _ in 0..40 {
            advance(Duration::from_secs(1)).await;
            pulse.wait(async {}).await;
        }
        assert_eq!(beats(), 4);
        sleep(Pulse::EVERY * 40).await;
        assert_eq!(beats(), 0, "nothing speaks for a loop that doesn't come back");
    }
}
