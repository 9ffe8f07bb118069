//! Wakeups: why a pass should run, coalesced. However many arrive while a pass runs, one more pass follows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use berth_engine::Unheard;
use berth_wire::PassRecord;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

/// The reason that a pass runs. Logged and shown; no decision reads it.
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

/// Everything that has piled up since the last pass began.
#[derive(Debug, Default)]
pub struct Pending {
    /// The reasons, each once.
    pub reasons: BTreeSet<Reason>,
    /// Containers that something happened to, by the engine's id.
    pub forget: BTreeSet<String>,
    /// True if events may have been missed, so that nothing remembered can be trusted.
    pub forget_all: bool,
    /// Those who wait for the next pass to end.
    pub requests: Vec<oneshot::Sender<PassRecord>>,
}

/// The bell: many ring, one listens.
#[derive(Debug, Clone, Default)]
pub struct Wakeups {
    pending: Arc<Mutex<Pending>>,
    /// Containers whose events ring nobody awake, by the engine's id, and how many asked for that.
    hushed: Arc<Mutex<HashMap<String, usize>>>,
    bell: Arc<Notify>,
}

/// Time in which a container's events ring nobody awake. At its end they do.
#[derive(Debug)]
#[must_use = "events are hushed only until this is dropped"]
pub struct Hush {
    wakeups: Wakeups,
    id: String,
}

impl Drop for Hush {
    fn drop(&mut self) {
        let mut hushed = self.wakeups.hushed.lock();
        match hushed.get_mut(&self.id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                hushed.remove(&self.id);
            }
        }
        drop(hushed);
        self.wakeups.happened_to(self.id.clone());
    }
}

impl Wakeups {
    /// Rings with a reason.
    pub fn wake(&self, reason: Reason) {
        self.add(reason, |_| {});
    }

    /// Rings because something happened to a container.
    pub fn happened_to(&self, id: String) {
        if self.hushed.lock().contains_key(&id) {
            // Whoever looks all the same sees it as it is.
            self.lock().forget.insert(id);
            return;
        }
        self.add(Reason::Engine, |pending| {
            pending.forget.insert(id);
        });
    }

    /// Hushes the events of a container that is about to be stopped and started again: a pass in between would find it
    /// stopped, and start it a second time.
    pub fn hush(&self, id: &str) -> Hush {
        *self.hushed.lock().entry(id.to_owned()).or_default() += 1;
        Hush { wakeups: self.clone(), id: id.to_owned() }
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

    /// Returns the containers to which something happened since the last pass began.
    pub fn unheard(&self) -> Unheard {
        let pending = self.lock();
        Unheard { ids: pending.forget.clone(), all: pending.forget_all }
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
        self.pending.lock()
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
    async fn a_container_that_starts_again_rings_once() {
        let wakeups = Wakeups::default();
        let (first, hush) = (wakeups.hush("a"), wakeups.hush("a"));
        drop(first);
        wakeups.happened_to("a".to_owned());
        assert_eq!(wakeups.unheard().ids, BTreeSet::from(["a".to_owned()]));
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(20), wakeups.next()).await;
        assert!(quiet.is_err(), "nobody is woken");
        drop(hush);
        let pending = wakeups.next().await;
        assert_eq!(
            (pending.reasons, pending.forget),
            (BTreeSet::from([Reason::Engine]), BTreeSet::from(["a".to_owned()]))
        );
        let hush = wakeups.hush("a");
        wakeups.happened_to("b".to_owned());
        assert_eq!(wakeups.next().await.forget, BTreeSet::from(["b".to_owned()]));
        drop(hush);
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
