//! Waits before the forge is asked again, in one way for the states of commits and for pull requests. Does no I/O.

use std::sync::Arc;
use std::time::Duration;

use berth_host::Waits;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::exchange::Trouble;

/// Waits after something that may be otherwise in a moment.
const WAITS: Waits = Waits::new(Duration::from_secs(1), Duration::from_secs(5 * 60));
/// Attempts after which something that may be otherwise in a moment counts as refused: some minutes.
const LAG: u32 = 8;
/// Waits for somebody who has to do something first: the first one, in case it was a limit that didn't say so, and all others.
const REFUSED: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(15 * 60)];

/// The time of the next attempt at one thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) at: Instant,
    /// Attempts since the last success.
    pub(crate) attempts: u32,
}

/// The outlook for something that came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It may mend itself.
    Open,
    /// Somebody has to do something about it.
    NeedsSomebody,
}

impl Wait {
    /// No wait.
    pub(crate) fn none() -> Self {
        Self { at: Instant::now(), attempts: 0 }
    }

    /// Returns whether it is time.
    pub(crate) fn is_over(&self) -> bool {
        self.at <= Instant::now()
    }

    /// The next look after a success.
    pub(crate) fn succeeded(&mut self, next: Duration) {
        *self = Self { at: Instant::now() + next, attempts: 0 };
    }

    /// The next attempt after this trouble. A forge that is away holds everything up by `pause`, and not this alone.
    pub(crate) fn failed(&mut self, trouble: &Trouble, pause: &mut Pause) -> Outlook {
        match trouble {
            Trouble::Away { wait, .. } => {
                pause.hold(*wait);
                Outlook::Open
            }
            Trouble::Ailing(_) => {
                self.lagged();
                Outlook::Open
            }
            // Whoever was faster is done by now.
            Trouble::Contended(_) if self.attempts == 0 => {
                *self = Self { at: Instant::now(), attempts: 1 };
                Outlook::Open
            }
            Trouble::Contended(_) | Trouble::Lagging(_) => self.lagged(),
            Trouble::Refused(_) => {
                self.refused();
                Outlook::NeedsSomebody
            }
        }
    }

    /// The next attempt at what may be otherwise in a moment.
    pub(crate) fn lagged(&mut self) -> Outlook {
        self.at = Instant::now() + WAITS.after(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts > LAG { Outlook::NeedsSomebody } else { Outlook::Open }
    }

    /// The next attempt at what somebody has to do something about first.
    pub(crate) fn refused(&mut self) {
        let [first, later] = REFUSED;
        self.at = Instant::now() + if self.attempts == 0 { first } else { later };
        self.attempts = self.attempts.saturating_add(1);
    }
}

/// The end of the pause that the forge itself asked for. Everything that uses its API shares one.
#[derive(Debug, Clone, Default)]
pub(crate) struct RateLimit(Arc<Mutex<Option<Instant>>>);

/// A pause of everything that one task asks of the forge.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    limit: RateLimit,
    /// Nothing is asked before, since the forge could not be reached.
    not_before: Option<Instant>,
    /// Attempts to reach a forge that is away.
    away: u32,
}

impl Pause {
    pub(crate) fn new(limit: &RateLimit) -> Self {
        Self { limit: limit.clone(), ..Self::default() }
    }

    /// Returns whether the forge may be asked for something now.
    pub(crate) fn is_over(&self) -> bool {
        let now = Instant::now();
        let limit = *self.limit.0.lock();
        [self.not_before, limit].into_iter().flatten().all(|then| then <= now)
    }

    /// Holds everything up: for as long as the forge asks for, or longer each time.
    pub(crate) fn hold(&mut self, asked: Option<Duration>) {
        let now = Instant::now();
        match asked {
            Some(wait) => {
                let mut limit = self.limit.0.lock();
                *limit = (*limit).max(Some(now + wait));
            }
            None => {
                self.not_before = Some(now + WAITS.after(self.away));
                self.away = self.away.saturating_add(1);
            }
        }
    }

    /// The forge answers.
    pub(crate) fn answered(&mut self) {
        (self.away, self.not_before) = (0, None);
    }

    /// Forgets the pause: another token may have limits of its own.
    pub(crate) fn lift(&mut self) {
        self.answered();
        *self.limit.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lagging() -> Trouble {
        Trouble::Lagging("not there yet".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_lags_is_tried_for_some_minutes_and_then_refused() {
        let (mut wait, mut pause) = (Wait::none(), Pause::default());
        let start = Instant::now();
        let mut waited = Duration::ZERO;
        while wait.failed(&lagging(), &mut pause) == Outlook::Open {
            tokio::time::sleep_until(wait.at).await;
            waited = start.elapsed();
        }
        assert!((Duration::from_secs(120)..Duration::from_secs(600)).contains(&waited), "{waited:?}");
        wait.refused();
        assert_eq!(wait.at - Instant::now(), REFUSED[1]);
        assert!(pause.is_over(), "nothing else waits for it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_contended_is_tried_at_once_and_what_is_refused_after_a_minute() {
        let (mut wait, mut pause) = (Wait::none(), Pause::default());
        let contended = Trouble::Contended("another update".to_owned());
        assert_eq!(wait.failed(&contended, &mut pause), Outlook::Open);
        assert!(wait.is_over());
        wait.failed(&contended, &mut pause);
        assert!(!wait.is_over(), "it isn't asked again and again");
        let mut wait = Wait::none();
        let refused = Trouble::Refused("no right".to_owned());
        for seconds in [60, 900, 900] {
            assert_eq!(wait.failed(&refused, &mut pause), Outlook::NeedsSomebody);
            assert_eq!(wait.at - Instant::now(), SECOND * seconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_is_away_holds_everything_up_longer_each_time() {
        let limit = RateLimit::default();
        let (mut pause, other) = (Pause::new(&limit), Pause::new(&limit));
        assert!(pause.is_over());
        for seconds in [1, 2, 4] {
            pause.hold(None);
            tokio::time::sleep(SECOND * seconds - Duration::from_millis(1)).await;
            assert!(!pause.is_over() && other.is_over(), "{seconds}");
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(pause.is_over(), "{seconds}");
        }
        // A limit is everybody's, and no answer to an earlier request ends it.
        pause.hold(Some(SECOND * 60));
        pause.hold(Some(SECOND));
        pause.answered();
        tokio::time::sleep(SECOND * 59).await;
        assert!(!pause.is_over() && !other.is_over());
        tokio::time::sleep(SECOND).await;
        assert!(pause.is_over() && other.is_over());
        pause.hold(Some(SECOND * 60));
        pause.lift();
        assert!(other.is_over());
    }
}
