//! The bell that wakes whoever follows the forge's branch.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// A bell. Rings are counted until somebody hears them: each may be for another push.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: AtomicU32,
    wake: Notify,
}

impl Bell {
    /// Rings once.
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Waits until it rings; returns how often it has since it was heard last.
    pub(crate) async fn rung(&self) -> u32 {
        loop {
            self.wake.notified().await;
            let rings = self.rings.swap(0, Ordering::AcqRel);
            if rings > 0 {
                return rings;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_that_nobody_hears_yet_are_counted() {
        let bell = Bell::default();
        (0..3).for_each(|_| bell.ring());
        assert_eq!(bell.rung().await, 3);
        bell.ring();
        assert_eq!(bell.rung().await, 1);
    }
}
