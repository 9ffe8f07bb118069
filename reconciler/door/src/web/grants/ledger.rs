//! List of what has ended before its time, for the gate. It outlives the door, and an entry goes once every grant that it ends is
//! over by itself.

use berth_wire::grant::{Ending, Endings};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::super::store::{Store, StoreError};

/// Name of the record.
const RECORD: &str = "ended.json";
/// Time for which an entry is kept: twice the life of a grant, so that clocks that differ do no harm.
const KEPT: SignedDuration = SignedDuration::from_mins(10);

/// The list.
#[derive(Debug)]
pub(crate) struct Ledger {
    store: Store,
    entries: Mutex<Vec<Ending>>,
}

impl Ledger {
    pub(crate) fn open(store: Store, now: Timestamp) -> Result<Self, StoreError> {
        let mut entries: Vec<Ending> = store.read(RECORD)?.unwrap_or_default();
        entries.retain(|entry| is_kept(entry, now));
        Ok(Self { store, entries: Mutex::new(entries) })
    }

    /// Adds entries: in memory first, so that what has ended is told even if the disk is full.
    pub(crate) fn add(&self, ends: Vec<Ending>, now: Timestamp) -> Result<(), StoreError> {
        if ends.is_empty() {
            return Ok(());
        }
        let mut entries = self.entries.lock();
        entries.retain(|entry| is_kept(entry, now));
        entries.extend(ends);
        self.store.write(RECORD, &*entries)
    }

    /// Text of the list, as the gate reads it.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        let entries = self.entries.lock();
        Endings::write(entries.iter().filter(|entry| is_kept(entry, now)))
    }
}

fn is_kept(entry: &Ending, now: Timestamp) -> bool {
    now.duration_since(entry.at) < KEPT
}

#[cfg(test)]
mod tests {
    use berth_wire::grant::SessionId;

    use super::*;

    #[test]
    fn the_list_outlives_the_door_and_forgets_what_is_long_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let end = |byte, at| Ending::of_session(&SessionId::of([byte; 16]), at);
        let ledger = Ledger::open(store.clone(), now).unwrap();
        ledger.add(vec![end(1, now)], now).unwrap();
        ledger.add(vec![end(2, now + KEPT / 2)], now + KEPT / 2).unwrap();
        let ledger = Ledger::open(store, now + KEPT / 2).unwrap();
        let lines = |then| ledger.text(then).lines().count();
        assert_eq!((lines(now), lines(now + KEPT), lines(now + KEPT * 2)), (2, 1, 0));
    }
}
