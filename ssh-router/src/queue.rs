//! Queue of one direction of a channel: events in the order of their arrival, in memory first, then on disk.
//!
//! The SSH library grants a sender new window when data arrives, not when it is passed on, and a callback that waits
//! stops its whole connection. A callback here therefore waits for a bounded time only. That slows a sender down to the
//! pace of its receiver and never stops the connection; data that arrives in the meantime overflows to disk.
//!
//! Control events (end of data, exit status, close) are accepted once and dropped when repeated. They never go to disk, so
//! a peer that repeats them must not fill memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::event::{Event, Said};
use crate::spill::{Overflow, Spill, SpillError};

/// Time that a callback may wait for space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// One turn; for a connection that nothing else needs.
    Turn,
    /// None, unless the disk fills up.
    None,
}

/// Bytes that stay in memory before anything goes to disk.
const MEMORY_MAX: usize = 4 << 20;
/// Memory that an event takes besides its data.
const EVENT_COST: usize = 64;
/// Most pieces on disk that differ in kind from their neighbours.
const PIECES_MAX: usize = 65_536;
/// Longest wait of one callback. Keepalives and other channels get their turn between two waits.
const TURN: Duration = Duration::from_millis(150);
/// Bytes that are read back from disk at once.
const READ_BACK: u64 = 128 << 10;

#[derive(Debug)]
enum Item {
    Here(Event),
    /// Bytes at the head of the file.
    OnDisk {
        kind: Option<u32>,
        length: u64,
    },
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    memory: usize,
    spill: Option<Spill>,
    abandoned: bool,
    said: Said,
}

/// Queue of one direction of a channel.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
    overflow: Arc<Overflow>,
    /// Cancelled when data didn't fit and was lost: the channel must not go on.
    broken: CancellationToken,
}

impl Queue {
    pub(crate) fn new(overflow: Arc<Overflow>) -> Self {
        Self {
            state: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            overflow,
            broken: CancellationToken::new(),
        }
    }

    /// Adds an event. Fails once, when it doesn't fit; from then on the queue drops everything.
    pub(crate) async fn push(&self, event: Event, patience: Patience) -> Result<(), SpillError> {
        let size = match &event {
            Event::Data(data) | Event::Extended(_, data) => data.len(),
            _ => {
                self.put(event);
                return Ok(());
            }
        };
        let mut deadline = None;
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            let wait = {
                let state = self.lock();
                if state.abandoned || size == 0 {
                    return Ok(());
                }
                let on_disk = state.spill.as_ref().map_or(0, Spill::waiting);
                let cost = size + EVENT_COST;
                if on_disk == 0 && state.memory + cost <= MEMORY_MAX && self.overflow.has_memory(cost) {
                    drop(state);
                    self.put(event);
                    return Ok(());
                }
                patience == Patience::Turn || on_disk > self.overflow.each / 2
            };
            let until = *deadline.get_or_insert_with(|| Instant::now() + TURN);
            if !wait || timeout_at(until, drained).await.is_err() {
                break;
            }
        }
        tokio::task::block_in_place(|| self.put_on_disk(&event)).inspect_err(|_| {
            self.abandon();
            self.broken.cancel();
        })
    }

    /// Waits for the next event and takes it.
    pub(crate) async fn next(&self) -> std::io::Result<Event> {
        loop {
            let filled = self.filled.notified();
            if let Some(event) = self.take()? {
                self.drained.notify_waiters();
                return Ok(event);
            }
            filled.await;
        }
    }

    /// Puts an event without data in front of all others.
    pub(crate) fn push_front(&self, event: Event) {
        let mut state = self.lock();
        if !state.abandoned {
            self.remember(&mut state, &event);
            state.items.push_front(Item::Here(event));
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Returns whether more waits than memory should hold.
    pub(crate) fn is_backlogged(&self) -> bool {
        let state = self.lock();
        state.memory > MEMORY_MAX / 2 || state.spill.as_ref().is_some_and(|spill| spill.waiting() > 0)
    }

    /// Forgets everything and drops what comes: nobody wants it.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        self.overflow.forget(state.memory);
        *state = State { abandoned: true, ..State::default() };
        drop(state);
        self.drained.notify_waiters();
    }

    /// Returns when data was lost.
    pub(crate) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    fn put(&self, event: Event) {
        let mut state = self.lock();
        if !state.abandoned && state.said.hears(&event) {
            self.remember(&mut state, &event);
            state.items.push_back(Item::Here(event));
        }
        drop(state);
        self.filled.notify_one();
    }

    fn remember(&self, state: &mut State, event: &Event) {
        let cost = EVENT_COST + event.size();
        state.memory += cost;
        self.overflow.remember(cost);
    }

    fn put_on_disk(&self, event: &Event) -> Result<(), SpillError> {
        let (kind, data) = match event {
            Event::Data(data) => (None, data),
            Event::Extended(kind, data) => (Some(*kind), data),
            _ => return Ok(()),
        };
        let mut state = self.lock();
        let state = &mut *state;
        if state.abandoned {
            return Ok(());
        }
        if state.items.len() >= PIECES_MAX {
            return Err(SpillError::Full);
        }
        if state.spill.is_none() {
            state.spill = Some(Spill::create(&self.overflow)?);
        }
        if let Some(spill) = &mut state.spill {
            spill.push(data)?;
        }
        let added = data.len() as u64;
        match state.items.back_mut() {
            Some(Item::OnDisk { kind: last, length }) if *last == kind => *length += added,
            _ => state.items.push_back(Item::OnDisk { kind, length: added }),
        }
        self.filled.notify_one();
        Ok(())
    }

    fn take(&self) -> std::io::Result<Option<Event>> {
        let mut state = self.lock();
        let state = &mut *state;
        let event = match state.items.pop_front() {
            None => return Ok(None),
            Some(Item::Here(event)) => {
                let cost = EVENT_COST + event.size();
                state.memory -= cost;
                self.overflow.forget(cost);
                event
            }
            Some(Item::OnDisk { kind, length }) => {
                let part = length.min(READ_BACK);
                if length > part {
                    state.items.push_front(Item::OnDisk { kind, length: length - part });
                }
                let length = usize::try_from(part).unwrap_or(usize::MAX);
                let data = match &mut state.spill {
                    Some(spill) => tokio::task::block_in_place(|| spill.pop(length))?,
                    None => Vec::new(),
                };
                match kind {
                    None => Event::Data(data.into()),
                    Some(kind) => Event::Extended(kind, data.into()),
                }
            }
        };
        if state.items.is_empty() {
            // An idle channel keeps neither memory nor a file.
            state.items = VecDeque::new();
            state.spill = None;
        }
        Ok(Some(event))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.overflow.forget(self.lock().memory);
    }
}

#[cfg(test)]
mod tests {
    use russh::Sig;

    use super::*;
    use crate::event::{ExitSignal, WORDS_MAX};

    fn queue(each: u64) -> Queue {
        Queue::new(Arc::new(Overflow::new(std::env::temp_dir(), each, 1 << 30, 1 << 30)))
    }

    fn block(n: u8) -> Event {
        Event::Data(vec![n; 1 << 20].into())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn order_survives_the_disk_and_the_end_comes_last() {
        let queue = queue(1 << 30);
        for n in 0..20 {
            queue.push(block(n), Patience::None).await.unwrap();
            queue.push(Event::Extended(1, vec![n].into()), Patience::None).await.unwrap();
        }
        queue.push(Event::ExitStatus(7), Patience::None).await.unwrap();
        queue.push(Event::Close, Patience::None).await.unwrap();
        assert!(queue.is_backlogged());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match queue.next().await.unwrap() {
                Event::Data(data) => out.extend_from_slice(&data),
                Event::Extended(1, data) => {
                    err.extend_from_slice(&data);
                    assert_eq!(out.len(), err.len() << 20);
                }
                Event::ExitStatus(status) => assert_eq!((status, out.len()), (7, 20 << 20)),
                Event::Close => break,
                other => panic!("{other:?}"),
            }
        }
        let expected: Vec<u8> = (0..20).flat_map(|n| vec![n; 1 << 20]).collect();
        assert!(out == expected && err == (0..20).collect::<Vec<u8>>());
        assert!(!queue.is_backlogged());
    }

    #[tokio::test]
    async fn what_is_said_again_and_again_is_heard_once() {
        let queue = queue(1 << 30);
        let long = "\u{e9}".repeat(100_000);
        for _ in 0..1000 {
            queue.push(Event::Eof, Patience::None).await.unwrap();
            let exit = ExitSignal::new(Sig::Custom(long.clone()), false, &long, &long);
            queue.push(Event::ExitSignal(Box::new(exit)), Patience::None).await.unwrap();
            queue.push(Event::ExitStatus(1), Patience::None).await.unwrap();
            queue.push(Event::Close, Patience::None).await.unwrap();
        }
        assert_eq!(queue.lock().items.len(), 3);
        assert_eq!(queue.lock().memory, 3 * EVENT_COST + 2 * WORDS_MAX);
        assert!(matches!(queue.next().await.unwrap(), Event::Eof));
        let Event::ExitSignal(exit) = queue.next().await.unwrap() else { panic!() };
        assert!(exit.message.len() == WORDS_MAX && long.starts_with(&exit.message));
        assert!(matches!(queue.next().await.unwrap(), Event::Close));
        // The same holds after the first one has been taken.
        queue.push(Event::Eof, Patience::None).await.unwrap();
        assert!(queue.lock().items.is_empty() && queue.lock().memory == 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_patient_callback_waits_a_turn_and_no_longer() {
        let queue = queue(1 << 30);
        for n in 0..3 {
            queue.push(block(n), Patience::Turn).await.unwrap();
        }
        let start = Instant::now();
        queue.push(block(3), Patience::Turn).await.unwrap();
        assert!(start.elapsed() >= TURN, "{:?}", start.elapsed());
        let start = Instant::now();
        queue.push(block(4), Patience::None).await.unwrap();
        assert!(start.elapsed() < TURN, "{:?}", start.elapsed());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_all_have_in_memory_is_bounded_and_given_back() {
        let overflow = Arc::new(Overflow::new(std::env::temp_dir(), 1 << 30, 1 << 30, 3 << 20));
        let (first, second) = (Queue::new(Arc::clone(&overflow)), Queue::new(Arc::clone(&overflow)));
        for n in 0..2 {
            first.push(block(n), Patience::None).await.unwrap();
        }
        assert!(overflow.has_memory(1 << 19) && !overflow.has_memory(1 << 20));
        for n in 0..2 {
            second.push(block(n), Patience::None).await.unwrap();
        }
        assert!(second.lock().spill.is_some(), "what all have together doesn't fit");
        for n in 0..2 {
            for queue in [&first, &second] {
                let mut back = Vec::new();
                while back.len() < 1 << 20 {
                    let Event::Data(data) = queue.next().await.unwrap() else { panic!() };
                    back.extend_from_slice(&data);
                }
                assert!(back == vec![n; 1 << 20]);
            }
        }
        assert!(overflow.has_memory(3 << 20), "nothing is counted that isn't there");
        first.push(block(0), Patience::None).await.unwrap();
        second.push(Event::Eof, Patience::None).await.unwrap();
        first.abandon();
        drop((first, second));
        assert!(overflow.has_memory(3 << 20));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_breaks_the_queue_instead_of_losing_a_byte_in_silence() {
        let queue = queue(1 << 20);
        let mut refused = false;
        for n in 0..8 {
            refused |= queue.push(block(n), Patience::None).await.is_err();
        }
        assert!(refused);
        timeout_at(Instant::now() + TURN, queue.broken()).await.unwrap();
    }
}
