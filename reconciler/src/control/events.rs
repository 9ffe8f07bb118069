//! Events of passes, for whoever listens: those of the pass that runs or ran last, and those that come.

use std::sync::Arc;

use berth_schema::{Origin, Revision};
use berth_wire::{Event, Listener};
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Events that a slow listener may lag behind before it is told that it missed some.
const EVENTS_KEPT: usize = 4096;

/// The events. Clones share them.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    recent: Arc<Mutex<Recent>>,
}

/// The events of the pass that runs, or ran last. One that found nothing left to do by the revision of the one before
/// doesn't take its place: the engine's own events bring about such passes, and whoever pushed wants to hear what was done.
#[derive(Debug, Default)]
struct Recent {
    events: Vec<Arc<Event>>,
    /// Set while the pass that runs is such a one.
    idle: bool,
}

impl Recent {
    fn keep(&mut self, event: &Arc<Event>) {
        let ended = match self.events.last().map(|last| &**last) {
            Some(Event::PassEnded(record)) => Some(record),
            _ => None,
        };
        match (&**event, ended) {
            (Event::Planned { revision, changes: 0, .. }, Some(ended)) => {
                self.idle = ended.is_clean() && ended.revision.as_ref() == Some(revision);
            }
            (Event::PassEnded(_), _) if self.idle => {
                self.idle = false;
                return;
            }
            _ => {}
        }
        if self.idle {
            return;
        }
        if ended.is_some() {
            self.events.clear();
        }
        self.events.push(Arc::clone(event));
    }
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::channel(EVENTS_KEPT).0, recent: Arc::default() }
    }
}

impl Listener for Events {
    fn hear(&self, event: Event) {
        let event = Arc::new(event);
        let mut recent = self.recent.lock();
        recent.keep(&event);
        // Nobody listening is the usual case, not a failure. Sent under the lock, so that whoever begins to listen misses
        // nothing and hears nothing twice.
        let _ = self.sender.send(event);
    }
}

impl Events {
    /// Tells of something that is part of no pass.
    pub fn tell(&self, event: Event) {
        let _ = self.sender.send(Arc::new(event));
    }

    /// Returns a receiver of all later events.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }

    /// Returns the events of the pass for this revision, if it runs or was the last, and a receiver of all later ones.
    pub(super) fn listen(
        &self,
        revision: Option<Revision>,
    ) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let recent = self.recent.lock();
        let revision = revision.map(Origin::Revision);
        let is_it = match recent.events.first().map(|event| &**event) {
            Some(Event::Planned { revision: of, .. }) => revision == Some(*of),
            Some(Event::PassEnded(record)) => revision.is_some() && revision == record.attempted,
            _ => false,
        };
        let told = if is_it { recent.events.clone() } else { Vec::new() };
        (told, self.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use berth_wire::PassRecord;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_pass_with_nothing_left_to_do_takes_no_place() {
        let [one, two] = [[1; 20], [2; 20]].map(Revision::from_bytes);
        let planned = |revision: Revision, changes| Event::Planned {
            revision: revision.into(),
            changes,
            text: String::new(),
            digest: String::new(),
        };
        let ended = |revision: Revision| {
            Event::PassEnded(PassRecord {
                at: Timestamp::UNIX_EPOCH,
                attempted: Some(revision.into()),
                revision: Some(revision.into()),
                reason: String::new(),
                outcomes: Vec::new(),
                problems: Vec::new(),
                retry_millis: None,
            })
        };
        let events = Events::default();
        let changes = |revision: Revision| match events.listen(Some(revision)).0.first().map(|event| &**event)
        {
            Some(Event::Planned { changes, .. }) => Some(*changes),
            _ => None,
        };
        for event in [planned(one, 2), ended(one), planned(one, 0)] {
            events.hear(event);
        }
        assert_eq!((changes(one), events.listen(Some(one)).0.len()), (Some(2), 2));
        events.hear(ended(one));
        assert_eq!(changes(one), Some(2));
        for event in [planned(one, 1), ended(one), planned(two, 0)] {
            events.hear(event);
        }
        assert_eq!((changes(one), changes(two)), (None, Some(0)));
        events.hear(ended(two));
        events.hear(planned(two, 3));
        assert_eq!((changes(two), events.listen(Some(two)).0.len()), (Some(3), 1));
    }
}
