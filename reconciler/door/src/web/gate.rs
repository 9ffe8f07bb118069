//! Gate for work that takes a processor: a few pass at once, a few more wait, and the rest is turned away. One source takes
//! no more than its share of the places, so it keeps nobody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use berth_host::network_of;
use parking_lot::{Condvar, Mutex};

/// Bits of an IPv4 network that count as one source: whoever tries often has its neighbours too.
const SOURCE_BITS: u8 = 24;

/// Works that run at once. Each takes a processor for a part of a second, and up to 64 MiB.
const AT_ONCE: usize = 2;
/// Works that wait for their turn.
const WAITING: usize = 16;
/// Works of one source, running and waiting.
const EACH: usize = 4;
/// Time for which one waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counter of works.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    counts: Mutex<Counts>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    running: usize,
    waiting: usize,
    of: HashMap<IpAddr, usize>,
}

/// Refusal while the places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// A place inside; given back on drop.
struct Inside<'g> {
    gate: &'g Gate,
    source: IpAddr,
    /// Set once it runs.
    runs: bool,
}

/// The network that an address belongs to, as attempts are counted.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    network_of(address, SOURCE_BITS)
}

/// The network that [`source`] has returned, as people write it.
pub(crate) fn source_text(network: IpAddr) -> String {
    match network {
        IpAddr::V4(network) => format!("{network}/{SOURCE_BITS}"),
        IpAddr::V6(network) => format!("{network}/64"),
    }
}

impl Gate {
    /// Does a work for somebody at an address once it is its turn. Blocks this thread until then.
    pub(crate) fn pass<T>(&self, from: IpAddr, work: impl FnOnce() -> T) -> Result<T, Busy> {
        let _inside = self.enter(from, Instant::now() + PATIENCE)?;
        Ok(work())
    }

    fn enter(&self, from: IpAddr, until: Instant) -> Result<Inside<'_>, Busy> {
        let source = source(from);
        let mut counts = self.counts.lock();
        let of_source = counts.of.get(&source).copied().unwrap_or_default();
        let is_full = counts.running >= AT_ONCE && counts.waiting >= WAITING;
        if of_source >= EACH || is_full {
            return Err(Busy);
        }
        counts.of.insert(source, of_source + 1);
        // Whichever way this ends, the source's place is given back.
        let mut inside = Inside { gate: self, source, runs: false };
        if counts.running >= AT_ONCE {
            counts.waiting += 1;
            self.left.wait_while_until(&mut counts, |counts| counts.running >= AT_ONCE, until);
            counts.waiting -= 1;
        }
        let is_turn = counts.running < AT_ONCE;
        if is_turn {
            counts.running += 1;
            inside.runs = true;
        }
        // A place that is given back takes the lock.
        drop(counts);
        if is_turn { Ok(inside) } else { Err(Busy) }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock();
        if self.runs {
            counts.running -= 1;
        }
        if let Some(of_source) = counts.of.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                counts.of.remove(&self.source);
            }
        }
        drop(counts);
        self.gate.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn address(network: usize) -> IpAddr {
        format!("192.0.{network}.1").parse().unwrap()
    }

    #[test]
    fn a_few_pass_a_few_wait_and_the_rest_is_turned_away() {
        let gate = Gate::default();
        let now = Instant::now();
        let inside: Vec<_> = (0..AT_ONCE).filter_map(|at| gate.enter(address(at), now).ok()).collect();
        assert_eq!(inside.len(), AT_ONCE);
        assert!(gate.enter(address(9), now).is_err(), "nobody waits longer than they may");
        thread::scope(|scope| {
            let (done, ended) = mpsc::channel();
            for at in 0..WAITING {
                let (gate, done) = (&gate, done.clone());
                scope.spawn(move || done.send(gate.pass(address(10 + at), || ())).unwrap());
            }
            while gate.counts.lock().waiting < WAITING {
                thread::yield_now();
            }
            assert_eq!(gate.pass(address(9), || ()), Err(Busy));
            drop(inside);
            assert!((0..WAITING).all(|_| ended.recv().unwrap() == Ok(())));
        });
        let counts = gate.counts.lock();
        assert_eq!((counts.running, counts.waiting, counts.of.len()), (0, 0, 0));
    }

    #[test]
    fn one_source_leaves_room_for_others() {
        let gate = Gate::default();
        let (many, other) = (address(1), address(2));
        let now = Instant::now();
        let inside: Vec<_> = (0..AT_ONCE).filter_map(|_| gate.enter(many, now).ok()).collect();
        thread::scope(|scope| {
            for _ in AT_ONCE..EACH {
                scope.spawn(|| gate.pass(many, || ()).unwrap());
            }
            while gate.counts.lock().waiting < EACH - AT_ONCE {
                thread::yield_now();
            }
            assert_eq!(gate.pass("192.0.1.200".parse().unwrap(), || ()), Err(Busy));
            let waits = scope.spawn(|| gate.pass(other, || ()));
            while gate.counts.lock().waiting < EACH - AT_ONCE + 1 {
                thread::yield_now();
            }
            drop(inside);
            assert_eq!(waits.join().unwrap(), Ok(()));
        });
    }
}
