//! One direction of one channel: events in the order of their arrival, in memory first, then on disk.
//!
//! The SSH library grants a sender new window when data arrives, not when it is passed on, and a callback that waits
//! stops its whole connection. So a callback here waits for a bounded time only, which slows a sender down to what
//! its receiver takes without ever stopping the connection; what comes in the meantime overflows to disk.
//!
//! What is no data comes once: a peer that says a second time that its output has ended, or its program, or that it
//! closes, says nothing new, and it is dropped. So nothing that doesn't overflow can pile up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use russh::Sig;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::spill::{Overflow, Spill, SpillError};
use crate::words;

/// What a channel carries, in the order that matters.
#[derive(Debug)]
pub(crate) enum Event {
    Data(Bytes),
    /// Data of a kind; 1 is stderr.
    Extended(u32, Bytes),
    Eof,
    ExitStatus(u32),
    ExitSignal(Box<ExitSignal>),
    Close,
}

/// How a program died.
#[derive(Debug)]
pub(crate) struct ExitSignal {
    pub(crate) signal: Sig,
    pub(crate) core_dumped: bool,
    pub(crate) message: String,
    pub(crate) language: String,
}

impl ExitSignal {
    /// Long words are cut: they are for a person, and a packet has room for a great many.
    pub(crate) fn new(signal: Sig, core_dumped: bool, message: &str, language: &str) -> Self {
        let cut = |words: &str| words::cut(words, WORDS_MAX).to_owned();
        let signal = match signal {
            Sig::Custom(name) => Sig::Custom(cut(&name)),
            known => known,
        };
        Self { signal, core_dumped, message: cut(message), language: cut(language) }
    }
}

/// How long a callback may wait for space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A turn: nothing else needs this connection.
    Turn,
    /// Not at all, unless the disk fills up.
    None,
}

/// The longest text that an exit signal carries, in bytes.
const WORDS_MAX: usize = 1 << 10;
/// Kept in memory before anything goes to disk.
const MEMORY_MAX: usize = 4 << 20;
/// What an event costs besides its bytes.
const EVENT_COST: usize = 64;
/// The most pieces on disk that differ in kind from their neighbours.
const PIECES_MAX: usize = 65_536;
/// The longest wait of one callback. Keepalives and other channels go on between two.
const TURN: Duration = Duration::from_millis(150);
/// Read back from disk at a time.
const READ_BACK: u64 = 128 << 10;

#[derive(Debug)]
enum Item {
    Here(Event),
    /// So many bytes at the head of the file.
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

/// What has come that comes only once.
#[derive(Debug, Default)]
struct Said {
    eof: bool,
    exit: bool,
    close: bool,
}

impl Said {
    /// Whether the event says something new.
    fn hears(&mut self, event: &Event) -> bool {
        let said = match event {
            Event::Data(_) | Event::Extended(..) => return true,
            Event::Eof => &mut self.eof,
            Event::ExitStatus(_) | Event::ExitSignal(_) => &mut self.exit,
            Event::Close => &mut self.close,
        };
        !std::mem::replace(said, true)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
    overflow: Arc<Overflow>,
    /// Cancelled when something didn't fit and was lost: the channel must not go on.
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

    /// Adds an event. `Err` once, when it doesn't fit; the queue takes nothing more then.
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

    /// The next event, once there is one.
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

    /// Puts an event that carries no data before all others.
    pub(crate) fn push_front(&self, event: Event) {
        let mut state = self.lock();
        if !state.abandoned {
            self.remember(&mut state, &event);
            state.items.push_front(Item::Here(event));
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Whether more waits than memory should hold.
    pub(crate) fn is_backlogged(&self) -> bool {
        let state = self.lock();
        state.memory > MEMORY_MAX / 2 || state.spill.as_ref().is_some_and(|spill| spill.waiting() > 0)
    }

    /// Forgets everything and takes nothing more: nobody wants it.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        self.overflow.forget(state.memory);
        *state = State { abandoned: true, ..State::default() };
        drop(state);
        self.drained.notify_waiters();
    }

    /// Returns when something was lost.
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
        state.memory += cost(event);
        self.overflow.remember(cost(event));
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
                state.memory -= cost(&event);
                self.overflow.forget(cost(&event));
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
            // An idle channel holds on to nothing.
            state.items = VecDeque::new();
            state.spill = None;
        }
        Ok(Some(event))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.overflow.forget(self.lock().memory);
    }
}

fn cost(event: &Event) -> usize {
    EVENT_COST
        + match event {
            Event::Data(data) | Event::Extended(_, data) => data.len(),
            Event::ExitSignal(exit) => exit.message.len() + exit.language.len(),
            Event::Eof | Event::ExitStatus(_) | Event::Close => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Nor when what came first has been taken.
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
