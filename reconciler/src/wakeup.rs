//! Wakeups: why a pass should run, coalesced. However many arrive while a pass runs, one more pass follows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::journal::PassRecord;

/// Why a pass runs. Logged and shown; no decision reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The daemon has started.
    Start,
    /// A ref of the state repo moved.
    Ref,
    /// The engine reported something about one of our objects.
    Engine,
    /// It was time.
    Timer,
    /// Something that failed is due again.
    Retry,
    /// Somebody asked, over the control socket.
    Request,
}

impl Reason {
    /// The reason in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Ref => "ref change",
            Self::Engine => "engine event",
            Self::Timer => "timer",
            Self::Retry => "retry",
            Self::Request => "request",
        }
    }
}

/// What has piled up since the last pass began.
#[derive(Debug, Default)]
pub struct Pending {
    /// Why, each reason once.
    pub reasons: BTreeSet<Reason>,
    /// Containers that something happened to, by the engine's id.
    pub forget: BTreeSet<String>,
    /// Whether events may have been missed, so that nothing remembered can be trusted.
    pub forget_all: bool,
    /// Who waits for the next pass to end.
    pub requests: Vec<oneshot::Sender<PassRecord>>,
}

/// The bell: many ring, one listens.
#[derive(Debug, Clone, Default)]
pub struct Wakeups {
    pending: Arc<Mutex<Pending>>,
    bell: Arc<Notify>,
}

impl Wakeups {
    /// Rings with a reason.
    pub fn wake(&self, reason: Reason) {
        self.add(reason, |_| {});
    }

    /// Rings because something happened to a container.
    pub fn happened_to(&self, id: String) {
        self.add(Reason::Engine, |pending| {
            pending.forget.insert(id);
        });
    }

    /// Rings because events may have been missed.
    pub fn events_missed(&self, reason: Reason) {
        self.add(reason, |pending| pending.forget_all = true);
    }

    /// Rings, and returns what the pass that this leads to comes to. The pass begins after this call, never before.
    pub fn request(&self) -> oneshot::Receiver<PassRecord> {
        let (sender, receiver) = oneshot::channel();
        self.add(Reason::Request, |pending| pending.requests.push(sender));
        receiver
    }

    /// What happened to containers since the last pass began: their ids, and whether anything may have been missed.
    pub fn unheard(&self) -> (BTreeSet<String>, bool) {
        let pending = self.lock();
        (pending.forget.clone(), pending.forget_all)
    }

    /// Waits until somebody rings, then takes all that has piled up.
    pub async fn next(&self) -> Pending {
        loop {
            let pending = std::mem::take(&mut *self.lock());
            if !pending.reasons.is_empty() {
                return pending;
            }
            self.bell.notified().await;
        }
    }

    fn add(&self, reason: Reason, note: impl FnOnce(&mut Pending)) {
        let mut pending = self.lock();
        pending.reasons.insert(reason);
        note(&mut pending);
        drop(pending);
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // What is behind the lock is whole after every statement, so a panic elsewhere doesn't spoil it.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_arrives_during_a_pass_makes_one_more() {
        let wakeups = Wakeups::default();
        wakeups.wake(Reason::Ref);
        assert_eq!(wakeups.next().await.reasons, BTreeSet::from([Reason::Ref]));
        wakeups.wake(Reason::Engine);
        wakeups.wake(Reason::Engine);
        wakeups.happened_to("a".to_owned());
        let pending = wakeups.next().await;
        assert_eq!(pending.reasons, BTreeSet::from([Reason::Engine]));
        assert_eq!(pending.forget, BTreeSet::from(["a".to_owned()]));
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(20), wakeups.next()).await;
        assert!(quiet.is_err(), "nothing is left, so nothing wakes");
    }

    #[tokio::test]
    async fn a_request_is_answered_by_the_pass_after_it() {
        let wakeups = Wakeups::default();
        let answer = wakeups.request();
        let pending = wakeups.next().await;
        assert_eq!(pending.requests.len(), 1);
        drop(pending);
        assert!(answer.await.is_err(), "a pass that never ends is told as such");
    }
}
