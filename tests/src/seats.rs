//! Seats: how many stories are told at a time, and which of those that wait is next.
//!
//! The lab is one machine, so one story at a time has it. A story that waits for it takes no seat meanwhile, or the stories of
//! the lab would be told one after the other with an idle seat beside them.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Needs of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A seat alone.
    Seat,
    /// A seat, and the lab for itself.
    SeatAndLab,
}

/// The seats of a run.
#[derive(Debug)]
pub struct Seats {
    taken: Mutex<Taken>,
    changed: Condvar,
}

#[derive(Debug)]
struct Taken {
    free: usize,
    lab_is_free: bool,
    /// Those who wait, by their place in the order.
    waiting: BTreeMap<usize, Needs>,
}

/// A seat, until it is dropped.
#[derive(Debug)]
pub struct Seat<'a> {
    seats: &'a Seats,
    needs: Needs,
}

impl Seats {
    /// So many seats, and one lab.
    pub fn new(number: usize) -> Self {
        let taken = Taken { free: number, lab_is_free: true, waiting: BTreeMap::new() };
        Self { taken: Mutex::new(taken), changed: Condvar::new() }
    }

    /// Waits for a seat. Of those who could have one, whoever has the first `place` is next.
    pub fn take(&self, place: usize, needs: Needs) -> Seat<'_> {
        let mut taken = self.lock();
        taken.waiting.insert(place, needs);
        while taken.next() != Some(place) {
            taken = self.changed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.waiting.remove(&place);
        taken.free -= 1;
        taken.lab_is_free &= needs == Needs::Seat;
        // Another seat may be free for whoever is next now.
        self.changed.notify_all();
        Seat { seats: self, needs }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn next(&self) -> Option<usize> {
        let may = |needs: &Needs| self.free > 0 && (*needs == Needs::Seat || self.lab_is_free);
        self.waiting.iter().find(|(_, needs)| may(needs)).map(|(place, _)| *place)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.free += 1;
        taken.lab_is_free |= self.needs == Needs::SeatAndLab;
        self.seats.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Needs, Seats};

    #[test]
    fn whoever_waits_for_the_lab_takes_no_seat() {
        let seats = Seats::new(2);
        let first = seats.take(0, Needs::SeatAndLab);
        thread::scope(|scope| {
            let second = scope.spawn(|| drop(seats.take(1, Needs::SeatAndLab)));
            drop(seats.take(2, Needs::Seat));
            assert!(!second.is_finished());
            drop(first);
            second.join().expect("the lab's turn");
        });
    }
}
