//! Times at which each change is looked at next. Does no I/O.

use std::collections::HashMap;
use std::time::Duration;

use berth_host::Waits;
use berth_repo::Revision;
use tokio::time::Instant;

/// Waits after something that may be otherwise in a moment.
const WAITS: Waits = Waits::new(Duration::from_secs(1), Duration::from_secs(5 * 60));
/// Attempts after which something that may be otherwise in a moment counts as refused: some minutes.
const LAG: u32 = 8;
/// Wait for somebody who has to do something first.
const LATER: Duration = Duration::from_secs(15 * 60);
/// The least time between two looks at one of many changes, for each of them: so that no forge's limit is reached.
const EACH: Duration = Duration::from_secs(2);

/// The time at which one change is looked at next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) at: Instant,
    /// Attempts since the last success.
    pub(super) attempts: u32,
    /// Tip of `main` in which it was looked for last.
    pub(super) main: Option<Revision>,
    /// Set if it could be merged but for another one that was merged just then.
    pub(super) is_passed_over: bool,
}

/// The times at which changes are looked at next, by author and topic.
#[derive(Debug, Default)]
pub(super) struct Dues {
    each: HashMap<String, Due>,
    /// Nothing is asked of the forge before.
    not_before: Option<Instant>,
    /// Attempts to reach a forge that is away.
    away: u32,
}

impl Dues {
    /// Forgets all waits.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps only those of these names.
    pub(super) fn keep(&mut self, names: &[String]) {
        self.each.retain(|name, _| names.contains(name));
    }

    /// The one of a name. A new one is due at once.
    pub(super) fn of(&mut self, name: &str) -> Due {
        let new = || Due { at: Instant::now(), attempts: 0, main: None, is_passed_over: false };
        *self.each.entry(name.to_owned()).or_insert_with(new)
    }

    pub(super) fn set(&mut self, name: &str, due: Due) {
        self.each.insert(name.to_owned(), due);
    }

    /// Returns whether the forge may be asked for something now.
    pub(super) fn may_ask(&self) -> bool {
        self.not_before.is_none_or(|then| then <= Instant::now())
    }

    /// Holds everything up, for as long as the forge asks for, or longer each time.
    pub(super) fn hold(&mut self, asked: Option<Duration>) {
        let wait = asked.unwrap_or_else(|| WAITS.after(self.away));
        self.away = self.away.saturating_add(1);
        self.not_before = Some(Instant::now() + wait);
    }

    /// The forge answers.
    pub(super) fn answers(&mut self) {
        (self.away, self.not_before) = (0, None);
    }
}

impl Due {
    /// Returns whether it is time.
    pub(super) fn is_now(&self) -> bool {
        self.at <= Instant::now()
    }

    /// The next look after one that found all in order: `poll`, and longer where there are many.
    pub(super) fn settled(&mut self, poll: Duration, many: usize) {
        self.attempts = 0;
        let least = EACH.saturating_mul(u32::try_from(many.saturating_sub(1)).unwrap_or(u32::MAX));
        self.at = Instant::now() + poll.max(least);
    }

    /// The next attempt at what may be otherwise in a moment. Returns whether there were so many that somebody has to do something.
    pub(super) fn lagged(&mut self) -> bool {
        self.at = Instant::now() + WAITS.after(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.attempts > LAG
    }

    /// The next attempt at what somebody has to do something about first.
    pub(super) fn refused(&mut self) {
        self.at = Instant::now() + LATER;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_lags_is_tried_for_some_minutes_and_then_refused() {
        let mut due = Dues::default().of("bob/x");
        let start = Instant::now();
        let mut waited = Duration::ZERO;
        while !due.lagged() {
            tokio::time::sleep_until(due.at).await;
            waited = start.elapsed();
        }
        assert!((Duration::from_secs(120)..Duration::from_secs(600)).contains(&waited), "{waited:?}");
        due.refused();
        assert_eq!(due.at - Instant::now(), LATER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_is_away_holds_everything_up_longer_each_time() {
        let mut dues = Dues::default();
        assert!(dues.may_ask());
        for seconds in [1, 2, 4] {
            dues.hold(None);
            tokio::time::sleep(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert!(!dues.may_ask(), "{seconds}");
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(dues.may_ask(), "{seconds}");
        }
        dues.hold(Some(Duration::from_secs(60)));
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(!dues.may_ask());
        dues.answers();
        assert!(dues.may_ask());
    }

    #[tokio::test(start_paused = true)]
    async fn many_open_changes_are_looked_at_more_seldom() {
        let poll = Duration::from_secs(60);
        let next = |many| {
            let mut due = Dues::default().of("bob/x");
            due.settled(poll, many);
            due.at - Instant::now()
        };
        assert_eq!((next(1), next(30), next(300)), (poll, poll, EACH * 299));
    }
}
