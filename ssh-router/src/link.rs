//! Channels of one session: data that arrives on an end waits in that end's queue, and a pump writes it to the other end.
//!
//! An end is looked up by its channel's number and made on the first look-up, because data may arrive before the task that
//! opened the channel hears that it is open.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use russh::{ChannelId, ChannelWriteHalf, client, server};
use tokio_util::sync::CancellationToken;

use crate::end::{End, Kind, Side};
use crate::event::Event;
use crate::pump::{Pump, Writer};
use crate::queue::Patience;
use crate::spill::Overflow;

/// All channels of a session.
#[derive(Debug)]
pub(crate) struct Links {
    ends: Mutex<Ends>,
    overflow: Arc<Overflow>,
    /// Ends every pump when it is cancelled.
    cut: CancellationToken,
    pumps: tokio_util::task::TaskTracker,
    /// Requests that wait for the other connection's reply.
    questions: AtomicUsize,
    /// Number of channels that are open or being opened or closed, whoever opened them and wherever they lead.
    channels: AtomicUsize,
    channels_max: usize,
    /// Number of channels that ever had a place.
    channels_ever: AtomicUsize,
}

/// A channel's place among those that a connection may have; given back on drop.
pub(crate) struct Slot(Arc<Links>);

/// Held while a request waits for the other side's reply; callbacks must not block meanwhile.
pub(crate) struct Question(Arc<Links>);

/// Ends by the number of their channel.
#[derive(Debug, Default)]
struct Ends {
    open: HashMap<(Side, ChannelId), Arc<End>>,
    /// The ends that were forgotten last: the library may still deliver data that came before it heard of the close.
    retired: VecDeque<(Side, ChannelId)>,
}

/// Most channels that a connection may open one after the other. The library keeps about 3 KiB of every channel that the
/// router closed first until the connection ends, which makes some 65 MiB.
const CHANNELS_EVER_MAX: usize = 20_000;
/// Number of ended channels that are remembered.
const RETIRED_MAX: usize = 64;

impl Links {
    /// No channels yet, and at most `channels_max` at once.
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

    /// Takes a place for one more channel; `None` at the limit.
    pub(crate) fn slot(self: &Arc<Self>) -> Option<Slot> {
        let taken = self.channels.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(Arc::clone(self));
        let is_free = taken < self.channels_max;
        (is_free && self.channels_ever.fetch_add(1, Ordering::Relaxed) < CHANNELS_EVER_MAX).then_some(slot)
    }

    /// Returns the end of that number, a new one if there is none.
    pub(crate) fn end(&self, side: Side, id: ChannelId) -> Arc<End> {
        let new = || Arc::new(End::new(side, Arc::clone(&self.overflow), self.cut.child_token()));
        let mut ends = self.lock();
        if ends.retired.contains(&(side, id)) {
            let late = new();
            late.inbox.abandon();
            return late;
        }
        Arc::clone(ends.open.entry((side, id)).or_insert_with(new))
    }

    /// Marks that a request waits for a reply, until the value is dropped.
    pub(crate) fn question(self: &Arc<Self>) -> Question {
        self.questions.fetch_add(1, Ordering::Relaxed);
        Question(Arc::clone(self))
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// Number of open ends on both sides.
    fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// Returns the server's end of the channel that the client calls `id`, if the two are joined already.
    pub(crate) fn beyond(&self, id: ChannelId) -> Option<Arc<End>> {
        let end = self.lock().open.get(&(Side::Client, id)).cloned()?;
        end.other()
    }

    /// Joins two ends: from now on, data that arrives on one goes out of the other.
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
        End::join(&at_client, &at_server, Arc::clone(&half_to_server));
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

    /// Runs a task that carries a channel and isn't a pump.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.pumps.spawn(task);
    }

    /// Forgets an end that nobody reads from any longer.
    pub(crate) fn forget(&self, side: Side, id: ChannelId) {
        let mut ends = self.lock();
        ends.open.remove(&(side, id));
        ends.retired.push_back((side, id));
        if ends.retired.len() > RETIRED_MAX {
            ends.retired.pop_front();
        }
    }

    /// Queues data that arrived on an end. May wait a moment: see [`crate::queue`].
    pub(crate) async fn arrived(&self, side: Side, id: ChannelId, event: Event) {
        let end = self.end(side, id);
        if matches!(event, Event::Eof) {
            end.said_all.store(true, Ordering::Relaxed);
        }
        let opposite = end.other();
        let alone = self.count() <= 2 && self.questions() == 0;
        // Only one direction may wait, so that the two never wait for each other.
        let patience = match side {
            Side::Server if alone => Patience::Turn,
            Side::Client if alone && !opposite.is_some_and(|end| end.inbox.is_backlogged()) => Patience::Turn,
            _ => Patience::None,
        };
        if let Err(error) = end.inbox.push(event, patience).await {
            tracing::warn!(?side, error = &error as &dyn std::error::Error, "channel closed");
        }
    }

    /// Closes an end whose peer has closed it and takes nothing more.
    pub(crate) async fn closed(&self, side: Side, id: ChannelId) {
        let end = self.end(side, id);
        // Doesn't wait, since it isn't data.
        let _ = end.inbox.push(Event::Close, Patience::None).await;
        end.closed.cancel();
        end.refuse_requests();
        if !end.is_joined() {
            self.forget(side, id);
        }
    }

    /// Closes every end of a side whose connection is gone. Data that had arrived from it still goes to the other side.
    pub(crate) async fn side_is_gone(&self, side: Side) {
        let ids: Vec<ChannelId> =
            self.lock().open.keys().filter(|(of, _)| *of == side).map(|(_, id)| *id).collect();
        for id in ids {
            self.closed(side, id).await;
        }
    }

    /// Returns when every pump has ended. No channel may be opened afterwards.
    pub(crate) async fn ended(&self) {
        self.pumps.close();
        self.pumps.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock()
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
