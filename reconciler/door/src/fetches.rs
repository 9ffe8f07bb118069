//! Fetches that run at once: each makes git hold a pack in memory. The others wait in line and are told their place.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fetches at once.
pub(crate) const MOST: usize = 8;
/// Time between two looks at one's place in line.
const GLANCE: Duration = Duration::from_millis(500);

/// The places, and the line of those who wait for one.
pub(crate) struct Fetches {
    places: Arc<Semaphore>,
    line: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    numbers: BTreeSet<u64>,
}

/// A number in the line, until it is dropped.
struct Number<'f> {
    fetches: &'f Fetches,
    number: u64,
}

impl Fetches {
    pub(crate) fn new(most: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), line: Mutex::default() }
    }

    /// Waits for a place. `tell` hears how many are before it, at first and whenever that changes.
    pub(crate) async fn take<F: Future<Output = ()>>(
        &self,
        mut tell: impl FnMut(usize) -> F,
    ) -> Option<OwnedSemaphorePermit> {
        let number = self.line_up();
        // The semaphore gives its places out in the order in which they were asked for.
        let mut place = pin!(Arc::clone(&self.places).acquire_owned());
        let mut told = None;
        loop {
            let glance = if told.is_some() { GLANCE } else { Duration::from_millis(1) };
            match tokio::time::timeout(glance, &mut place).await {
                // Nobody closes it.
                Ok(place) => return place.ok(),
                Err(_) => {
                    let ahead = number.ahead();
                    if told != Some(ahead) {
                        told = Some(ahead);
                        tell(ahead).await;
                    }
                }
            }
        }
    }

    fn line_up(&self) -> Number<'_> {
        let mut line = self.line.lock();
        let number = line.next;
        line.next += 1;
        line.numbers.insert(number);
        Number { fetches: self, number }
    }
}

impl Number<'_> {
    /// Number of commands that have to end or to begin before this one begins.
    fn ahead(&self) -> usize {
        1 + self.fetches.line.lock().numbers.range(..self.number).count()
    }
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        self.fetches.line.lock().numbers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Heard;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_hears_their_place_and_gets_one_in_turn() {
        let fetches = Arc::new(Fetches::new(1));
        let first = fetches.take(|_| async { panic!("there is a place") }).await;
        let heard = Arc::new(Heard::new(Vec::new()));
        let waiting: Vec<_> = (0..3)
            .map(|who| {
                let (fetches, heard) = (Arc::clone(&fetches), Arc::clone(&heard));
                tokio::spawn(async move {
                    let place = fetches.take(|ahead| {
                        heard.lock().unwrap().push((who, ahead));
                        async {}
                    });
                    drop(place.await);
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(*heard.lock().unwrap(), [(0, 1), (1, 2), (2, 3)]);
        // One that leaves makes room in the line.
        waiting[1].abort();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(heard.lock().unwrap().last(), Some(&(2, 2)));
        drop(first);
        for one in waiting {
            let _ = one.await;
        }
        assert!(fetches.line.lock().numbers.is_empty());
    }
}
