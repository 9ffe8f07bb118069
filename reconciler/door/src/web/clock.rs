//! The clock of the panel's door, which tests set.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

/// Source of the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

/// A moment, by both clocks of a machine.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The date, for what outlives this process.
    pub date: Timestamp,
    /// The time that never jumps, for waits.
    pub steady: Instant,
}

impl Clock {
    /// The machine's.
    pub fn system() -> Self {
        Self::new(|| Now { date: Timestamp::now(), steady: Instant::now() })
    }

    /// A clock that shows what `now` returns.
    pub fn new(now: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub(crate) fn now(&self) -> Now {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(…)")
    }
}
