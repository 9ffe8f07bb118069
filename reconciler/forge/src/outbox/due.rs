//! Times at which each change is looked at next. Does no I/O.

use std::collections::HashMap;
use std::time::Duration;

use berth_repo::Revision;

use crate::waits::{Pause, RateLimit, Wait};

/// The least time between two looks at one of many changes, for each of them: so that no forge's limit is reached.
const EACH: Duration = Duration::from_secs(2);

/// The time at which one change is looked at next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) wait: Wait,
    /// Tip of `main` in which it was looked for last.
    pub(super) main: Option<Revision>,
    /// Set if it could be merged but for another one that was merged just then.
    pub(super) is_passed_over: bool,
}

/// The times at which changes are looked at next, by author and topic.
#[derive(Debug)]
pub(super) struct Dues {
    each: HashMap<String, Due>,
    pub(super) pause: Pause,
}

impl Dues {
    pub(super) fn new(limit: &RateLimit) -> Self {
        Self { each: HashMap::new(), pause: Pause::new(limit) }
    }

    /// Forgets all waits.
    pub(super) fn clear(&mut self) {
        self.each.clear();
        self.pause.lift();
    }

    /// Forgets all names but these.
    pub(super) fn keep(&mut self, names: &[String]) {
        self.each.retain(|name, _| names.contains(name));
    }

    /// Time of a name's next look. A new one is due at once.
    pub(super) fn of(&mut self, name: &str) -> Due {
        let new = || Due { wait: Wait::none(), main: None, is_passed_over: false };
        *self.each.entry(name.to_owned()).or_insert_with(new)
    }

    /// Puts these names in the order of their turns: whatever was tried last comes last, so that a forge that hangs at one change gets
    /// the others.
    pub(super) fn sort<T>(&mut self, all: &mut [T], name: impl Fn(&T) -> String) {
        all.sort_by_key(|one| self.of(&name(one)).wait.at);
    }

    pub(super) fn set(&mut self, name: &str, due: Due) {
        self.each.insert(name.to_owned(), due);
    }
}

impl Due {
    /// The next look after one that found all in order: `poll`, and longer where there are many.
    pub(super) fn settled(&mut self, poll: Duration, many: usize) {
        let least = EACH.saturating_mul(u32::try_from(many.saturating_sub(1)).unwrap_or(u32::MAX));
        self.wait.succeeded(poll.max(least));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::exchange::Trouble;

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_hangs_at_one_change_gets_the_others() {
        let mut dues = Dues::new(&RateLimit::default());
        let mut names = ["bob/a", "bob/b", "bob/c"];
        let mut tried = Vec::new();
        for _ in 0..6 {
            dues.sort(&mut names, |name| (*name).to_owned());
            // As in a round: the first that is due is tried, and holds all others up for a while.
            let first = *names.iter().find(|name| dues.of(name).wait.is_over()).unwrap();
            let mut due = dues.of(first);
            let away = Trouble::Away { why: "no answer within 20 s".to_owned(), wait: None };
            due.wait.failed(&away, &mut dues.pause);
            dues.set(first, due);
            tried.push(first);
            while !dues.pause.is_over() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        assert_eq!(tried, ["bob/a", "bob/b", "bob/c", "bob/a", "bob/b", "bob/c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_open_changes_are_looked_at_more_seldom() {
        let poll = Duration::from_secs(60);
        let next = |many| {
            let mut due = Dues::new(&RateLimit::default()).of("bob/x");
            due.settled(poll, many);
            due.wait.at - Instant::now()
        };
        assert_eq!((next(1), next(30), next(300)), (poll, poll, EACH * 299));
    }
}
