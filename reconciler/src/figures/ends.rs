//! Ends: containers that ended although nobody had asked them to. The engine tells of a signal before it tells of an end.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

/// Ends that are remembered of one container.
const REMEMBERED: usize = 10;
/// The most containers that are remembered.
const MOST: usize = 20_000;

/// Ends of containers, by the engine's ids, whosever they are.
#[derive(Debug, Default)]
pub(super) struct Ends {
    asked: HashSet<String>,
    by_themselves: HashMap<String, Vec<Timestamp>>,
}

impl Ends {
    /// Notes that a container was sent a signal: it may end by that.
    pub(super) fn asked(&mut self, container: &str) {
        if self.asked.len() < MOST {
            self.asked.insert(container.to_owned());
        }
    }

    /// Notes that a container began: a signal that it was sent before has ended it, or never will.
    pub(super) fn began(&mut self, container: &str) {
        self.asked.remove(container);
    }

    /// Notes that a container ended.
    pub(super) fn ended(&mut self, container: &str, at: Timestamp) {
        if self.asked.remove(container) {
            return;
        }
        if self.by_themselves.len() >= MOST && !self.by_themselves.contains_key(container) {
            return;
        }
        let ends = self.by_themselves.entry(container.to_owned()).or_default();
        ends.push(at);
        let more = ends.len().saturating_sub(REMEMBERED);
        ends.drain(..more);
    }

    /// Forgets a container that is gone.
    pub(super) fn forget(&mut self, container: &str) {
        self.asked.remove(container);
        self.by_themselves.remove(container);
    }

    /// Returns the moments at which a container ended by itself, the newest last.
    pub(super) fn of(&self, container: &str) -> Vec<Timestamp> {
        self.by_themselves.get(container).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_that_nobody_asked_for_counts() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut ends = Ends::default();
        ends.ended("a", at(1));
        ends.began("a");
        ends.asked("a");
        ends.ended("a", at(2));
        ends.began("a");
        // A signal that it lived on after.
        ends.asked("a");
        ends.began("a");
        ends.ended("a", at(3));
        assert_eq!(ends.of("a"), [at(1), at(3)]);
        assert_eq!(ends.of("b"), []);
        for second in 10..30 {
            ends.ended("a", at(second));
        }
        assert_eq!(ends.of("a").len(), REMEMBERED);
        ends.forget("a");
        assert_eq!(ends.of("a"), []);
    }
}
