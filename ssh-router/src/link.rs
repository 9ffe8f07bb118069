//! The channels of one session: what arrives on an end waits in that end's queue, and a pump writes it to the other.
//!
//! An end is looked up by its channel's number and made when first asked for: data may arrive before the task that
//! opened the channel has heard that it is open.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use russh::{ChannelId, ChannelWriteHalf, client, server};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::pump::{Pump, Writer};
use crate::queue::{Event, Patience, Queue};
use crate::spill::Overflow;

/// Which connection a channel's end is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// The person's.
    Client,
    /// The server's.
    Server,
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program, which ends with a status.
    Session,
    /// A connection.
    Stream,
}

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) side: Side,
    /// What arrived on this end.
    pub(crate) inbox: Queue,
    /// Cancelled when this end can take nothing more.
    pub(crate) closed: CancellationToken,
    /// Requests that were sent out of this end and wait for an answer, in order.
    replies: Mutex<VecDeque<oneshot::Sender<bool>>>,
    other: OnceLock<Weak<End>>,
    /// Whether nothing more will be said on this end.
    pub(crate) said_all: AtomicBool,
    /// Writes to this end; for requests, which don't queue.
    requests: OnceLock<Arc<ChannelWriteHalf<client::Msg>>>,
}

/// Every channel of a session.
#[derive(Debug)]
pub(crate) struct Links {
    ends: Mutex<Ends>,
    overflow: Arc<Overflow>,
    /// Ends every pump.
    cut: CancellationToken,
    pumps: tokio_util::task::TaskTracker,
    /// Questions to the other connection that wait for their answer.
    questions: AtomicUsize,
    /// Channels that are open, or being opened or closed, whoever opened them and wherever they lead.
    channels: AtomicUsize,
    channels_max: usize,
    /// Channels that ever had a place.
    channels_ever: AtomicUsize,
}

/// A channel's place among those that a connection may have; gives it back when dropped.
pub(crate) struct Slot(Arc<Links>);

/// Somebody waits for an answer of the other connection; no callback may wait meanwhile.
pub(crate) struct Question(Arc<Links>);

/// The ends by number.
#[derive(Debug, Default)]
struct Ends {
    open: HashMap<(Side, ChannelId), Arc<End>>,
    /// The last that ended: the library may still deliver what came before it heard of the end.
    retired: VecDeque<(Side, ChannelId)>,
}

/// Channels that a connection may open one after the other. The library keeps about three KiB of each that the router closed
/// first until the connection ends, so these are some 65 MiB.
const CHANNELS_EVER_MAX: usize = 20_000;
/// How many ended channels are remembered.
const RETIRED_MAX: usize = 64;

impl Links {
    /// At most `channels_max` channels at once.
    pub(crate) fn new(overflow: Arc<Overflow>, cut: CancellationToken, channels_max: usize) -> Self {
        Self {
            ends: Mutex::default(),
            overflow,
            cut,
            pumps: tokio_util::task::TaskTracker::new(),
            questions: AtomicUsize::new(0),
            channels: AtomicUsize::new(0),
            channels_max,
            channels_ever: AtomicUsize::new(0),
        }
    }

    /// A place for one more channel. `None` at the limit.
    pub(crate) fn slot(self: &Arc<Self>) -> Option<Slot> {
        let taken = self.channels.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(Arc::clone(self));
        let is_free = taken < self.channels_max;
        (is_free && self.channels_ever.fetch_add(1, Ordering::Relaxed) < CHANNELS_EVER_MAX).then_some(slot)
    }

    /// The end of that number, new if need be.
    pub(crate) fn end(&self, side: Side, id: ChannelId) -> Arc<End> {
        let new = || {
            Arc::new(End {
                side,
                inbox: Queue::new(Arc::clone(&self.overflow)),
                closed: self.cut.child_token(),
                replies: Mutex::default(),
                other: OnceLock::new(),
                said_all: AtomicBool::new(false),
                requests: OnceLock::new(),
            })
        };
        let mut ends = self.lock();
        if ends.retired.contains(&(side, id)) {
            let late = new();
            late.inbox.abandon();
            return late;
        }
        Arc::clone(ends.open.entry((side, id)).or_insert_with(new))
    }

    /// Says that an answer is waited for, until the value is dropped.
    pub(crate) fn question(self: &Arc<Self>) -> Question {
        self.questions.fetch_add(1, Ordering::Relaxed);
        Question(Arc::clone(self))
    }

    /// Questions without an answer.
    fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// Open ends, of both sides.
    fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// The server's end of the channel that the client calls `id`, if it is joined already.
    pub(crate) fn beyond(&self, id: ChannelId) -> Option<Arc<End>> {
        let end = self.lock().open.get(&(Side::Client, id)).cloned()?;
        end.other.get()?.upgrade()
    }

    /// Joins two ends: from now on, what arrives on one goes out of the other.
    pub(crate) fn join(
        self: &Arc<Self>,
        kind: Kind,
        client: (ChannelWriteHalf<server::Msg>, server::Handle),
        server: ChannelWriteHalf<client::Msg>,
        slot: Slot,
    ) {
        let (half, handle) = client;
        let half_to_server = Arc::new(server);
        let at_client = self.end(Side::Client, half.id());
        let at_server = self.end(Side::Server, half_to_server.id());
        // Both are set once: a channel is joined once.
        let _ = at_client.other.set(Arc::downgrade(&at_server));
        let _ = at_server.other.set(Arc::downgrade(&at_client));
        let _ = at_server.requests.set(Arc::clone(&half_to_server));
        let ids = (half.id(), half_to_server.id());
        let to_client = Pump {
            from: Arc::clone(&at_server),
            to: Arc::clone(&at_client),
            writer: Writer::Client { half, handle },
            kind,
        };
        let to_server = Pump {
            from: at_client,
            to: at_server,
            writer: Writer::Server { half: half_to_server },
            kind: Kind::Stream,
        };
        let links = Arc::clone(self);
        self.pumps.spawn(async move {
            tokio::join!(to_client.run(), to_server.run());
            links.forget(Side::Client, ids.0);
            links.forget(Side::Server, ids.1);
            drop(slot);
        });
    }

    /// Runs something that carries a channel and isn't a pump.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.pumps.spawn(task);
    }

    /// Forgets an end that nothing is read from any more.
    pub(crate) fn forget(&self, side: Side, id: ChannelId) {
        let mut ends = self.lock();
        ends.open.remove(&(side, id));
        ends.retired.push_back((side, id));
        if ends.retired.len() > RETIRED_MAX {
            ends.retired.pop_front();
        }
    }

    /// Data arrived on an end. May wait a moment: see [`crate::queue`].
    pub(crate) async fn arrived(&self, side: Side, id: ChannelId, event: Event) {
        let end = self.end(side, id);
        if matches!(event, Event::Eof) {
            end.said_all.store(true, Ordering::Relaxed);
        }
        let opposite = end.other.get().and_then(Weak::upgrade);
        let alone = self.count() <= 2 && self.questions() == 0;
        // At most one direction waits, so that the two never wait for each other.
        let patience = match side {
            Side::Server if alone => Patience::Turn,
            Side::Client if alone && !opposite.is_some_and(|end| end.inbox.is_backlogged()) => Patience::Turn,
            _ => Patience::None,
        };
        if let Err(error) = end.inbox.push(event, patience).await {
            tracing::warn!(?side, error = &error as &dyn std::error::Error, "channel closed");
        }
    }

    /// An end was closed by its peer, who takes nothing more.
    pub(crate) async fn closed(&self, side: Side, id: ChannelId) {
        let end = self.end(side, id);
        // Never waits: it isn't data.
        let _ = end.inbox.push(Event::Close, Patience::None).await;
        end.closed.cancel();
        end.lock_replies().clear();
        if end.other.get().is_none() {
            self.forget(side, id);
        }
    }

    /// Closes every end of a side: its connection is gone. What it had said still goes to the other.
    pub(crate) async fn side_is_gone(&self, side: Side) {
        let ids: Vec<ChannelId> =
            self.lock().open.keys().filter(|(of, _)| *of == side).map(|(_, id)| *id).collect();
        for id in ids {
            self.closed(side, id).await;
        }
    }

    /// Returns when every pump has ended. No new channel may be opened after.
    pub(crate) async fn ended(&self) {
        self.pumps.close();
        self.pumps.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.0.questions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

impl End {
    /// Sends a request out of the server's end and returns its answer; no answer is a refusal.
    pub(crate) async fn request<F>(&self, send: impl FnOnce(Arc<ChannelWriteHalf<client::Msg>>) -> F) -> bool
    where
        F: Future<Output = Result<(), russh::Error>>,
    {
        let Some(half) = self.requests.get() else { return false };
        let (answer, answered) = oneshot::channel();
        self.lock_replies().push_back(answer);
        if send(Arc::clone(half)).await.is_err() {
            return false;
        }
        tokio::select! {
            // A program may end as soon as it has begun: its answer counts, though its channel is closed by then.
            biased;
            answer = answered => answer.unwrap_or(false),
            () = self.closed.cancelled() => false,
        }
    }

    /// Sends something that has no answer out of the server's end.
    pub(crate) async fn tell<F>(&self, send: impl FnOnce(Arc<ChannelWriteHalf<client::Msg>>) -> F)
    where
        F: Future<Output = Result<(), russh::Error>>,
    {
        if let Some(half) = self.requests.get() {
            // A channel that is gone needs no telling.
            let _ = send(Arc::clone(half)).await;
        }
    }

    /// The answer to the oldest request.
    pub(crate) fn answered(&self, answer: bool) {
        if let Some(waiting) = self.lock_replies().pop_front() {
            let _ = waiting.send(answer);
        }
    }

    fn lock_replies(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<bool>>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(channels: usize) -> Arc<Links> {
        let overflow = Arc::new(Overflow::new(std::env::temp_dir(), 0, 0, 0));
        Arc::new(Links::new(overflow, CancellationToken::new(), channels))
    }

    #[test]
    fn so_many_channels_have_a_place_at_once_and_one_that_ends_makes_room() {
        let links = links(2);
        let (first, _second) = (links.slot(), links.slot());
        assert!(first.is_some() && links.slot().is_none() && links.slot().is_none());
        drop(first);
        assert!(links.slot().is_some());
    }

    #[test]
    fn a_connection_opens_no_end_of_channels() {
        let links = links(1);
        assert!((0..CHANNELS_EVER_MAX).all(|_| links.slot().is_some()));
        assert!(links.slot().is_none());
    }
}
