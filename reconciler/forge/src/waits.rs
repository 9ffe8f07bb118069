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
/// The least wait, which lets everything else that is due come first.
const MOMENT: Duration = Duration::from_millis(1);
/// Waits for somebody who has to do something first: the first one, in case it was a limit that didn't say so, and all others.
const REFUSED: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(15 * 60)];

/// The time of the next attempt at one thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) at: Instant,
    /// Attempts since the last success.
    pub(crate) attempts: u32,
    /// Attempts among them whose answer might have been otherwise in a moment.
    lags: u32,
    /// Attempts among them about which somebody has to do something first.
    refusals: u32,
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
        Self::at(Instant::now())
    }

    fn at(at: Instant) -> Self {
        Self { at, attempts: 0, lags: 0, refusals: 0 }
    }

    /// Returns whether it is time.
    pub(crate) fn is_over(&self) -> bool {
        self.at <= Instant::now()
    }

    /// The next look after a success.
    pub(crate) fn succeeded(&mut self, next: Duration) {
        *self = Self::at(Instant::now() + next);
    }

    /// Forgets what came to nothing: this is something else to try, and its turn comes no later.
    pub(crate) fn renew(&mut self) {
        *self = Self::at(self.at.min(Instant::now()));
    }

    /// The next attempt after this trouble. A forge that is away holds everything up by `pause`, and not this alone.
    pub(crate) fn failed(&mut self, trouble: &Trouble, pause: &mut Pause) -> Outlook {
        if let Trouble::Away { wait, .. } = trouble {
            pause.hold(*wait);
            // Perhaps the forge is away for this alone, so all others come first.
            self.at = Instant::now() + MOMENT;
            return Outlook::Open;
        }
        pause.answered();
        let is_first = self.attempts == 0;
        self.lagged();
        let seldom = match trouble {
            Trouble::Away { .. } | Trouble::Ailing(_) => None,
            Trouble::Contended(_) | Trouble::Lagging(_) => {
                self.lags = self.lags.saturating_add(1);
                (self.lags > LAG).then_some(REFUSED[1])
            }
            Trouble::Refused(_) => {
                self.refusals = self.refusals.saturating_add(1);
                Some(REFUSED[usize::from(self.refusals > 1)])
            }
        };
        if let Some(wait) = seldom {
            self.at = Instant::now() + wait;
            return Outlook::NeedsSomebody;
        }
        // Whoever was faster is done by now.
        if is_first && matches!(trouble, Trouble::Contended(_)) {
            self.at = Instant::now();
        }
        Outlook::Open
    }

    /// The next attempt at what may be otherwise in a moment.
    pub(crate) fn lagged(&mut self) {
        self.at = Instant::now() + WAITS.after(self.attempts);
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
    /// Limits in a row: a forge that goes on saying so wants to be asked less than it says.
    limits: u32,
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
                *limit = (*limit).max(Some(now + wait.max(WAITS.after(self.limits))));
                self.limits = self.limits.saturating_add(1);
            }
            None => {
                self.not_before = Some(now + WAITS.after(self.away));
                self.away = self.away.saturating_add(1);
            }
        }
    }

    /// The forge answers.
    pub(crate) fn answered(&mut self) {
        (self.away, self.limits, self.not_before) = (0, 0, None);
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
        assert_eq!(wait.at - Instant::now(), REFUSED[1]);
        assert!(pause.is_over(), "nothing else waits for it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_failed_for_long_is_no_reason_to_give_up_sooner() {
        let (mut wait, mut pause) = (Wait::none(), Pause::default());
        for _ in 0..50 {
            wait.failed(&Trouble::Ailing("500".to_owned()), &mut pause);
        }
        for _ in 0..LAG {
            assert_eq!(wait.failed(&lagging(), &mut pause), Outlook::Open);
        }
        // And the first refusal may be a limit that doesn't say so.
        wait.failed(&Trouble::Refused("403".to_owned()), &mut pause);
        assert_eq!(wait.at - Instant::now(), REFUSED[0]);
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

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_goes_on_is_asked_about_less_and_less() {
        let (mut pause, start) = (Pause::default(), Instant::now());
        let mut attempts = 0;
        while start.elapsed() < SECOND * 3600 {
            if pause.is_over() {
                // As if it were over already: the forge's clock and ours differ, or a proxy says so.
                pause.hold(Some(SECOND));
                attempts += 1;
            }
            tokio::time::sleep(SECOND).await;
        }
        assert!(attempts < 30, "{attempts}");
        pause.answered();
        pause.lift();
        pause.hold(Some(SECOND));
        tokio::time::sleep(SECOND).await;
        assert!(pause.is_over(), "it begins anew once the forge answers");
    }
}
