//! One end of a channel: what arrived on it, and the requests that go out of it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, MutexGuard};
use russh::{ChannelWriteHalf, client};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::queue::Queue;
use crate::spill::Overflow;

/// Connection that an end belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// The person's connection.
    Client,
    /// The router's connection to the server.
    Server,
}

/// Kind of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program, which ends with a status.
    Session,
    /// A forwarded connection.
    Stream,
}

/// End of a channel.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) side: Side,
    /// Events that arrived on this end.
    pub(crate) inbox: Queue,
    /// Cancelled when this end takes nothing more.
    pub(crate) closed: CancellationToken,
    /// Set when the peer on this end has announced that it sends no more data.
    pub(crate) said_all: AtomicBool,
    /// Senders of the answers to requests that went out of this end, oldest first.
    replies: Mutex<VecDeque<oneshot::Sender<bool>>>,
    other: OnceLock<Weak<End>>,
    /// Way out of this end for requests, which don't queue.
    requests: OnceLock<Arc<ChannelWriteHalf<client::Msg>>>,
}

impl End {
    pub(crate) fn new(side: Side, overflow: Arc<Overflow>, closed: CancellationToken) -> Self {
        Self {
            side,
            inbox: Queue::new(overflow),
            closed,
            said_all: AtomicBool::new(false),
            replies: Mutex::default(),
            other: OnceLock::new(),
            requests: OnceLock::new(),
        }
    }

    /// Joins the two ends of a channel; `half` is the way out of the server's.
    pub(crate) fn join(client: &Arc<Self>, server: &Arc<Self>, half: Arc<ChannelWriteHalf<client::Msg>>) {
        // All three are set once: a channel is joined once.
        let _ = client.other.set(Arc::downgrade(server));
        let _ = server.other.set(Arc::downgrade(client));
        let _ = server.requests.set(half);
    }

    /// Sets the way out of a server's end that is joined to no client's.
    pub(crate) fn lead(&self, half: Arc<ChannelWriteHalf<client::Msg>>) {
        // Set once: a channel is opened once.
        let _ = self.requests.set(half);
    }

    /// Returns the end that this one is joined to, if it is there.
    pub(crate) fn other(&self) -> Option<Arc<Self>> {
        self.other.get()?.upgrade()
    }

    /// Returns whether this end was ever joined to another.
    pub(crate) fn is_joined(&self) -> bool {
        self.other.get().is_some()
    }

    /// Refuses every request that still waits for an answer.
    pub(crate) fn refuse_requests(&self) {
        self.lock_replies().clear();
    }

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
            // A program may end as soon as it has begun. Its answer counts even if its channel is closed by then.
            biased;
            answer = answered => answer.unwrap_or(false),
            () = self.closed.cancelled() => false,
        }
    }

    /// Sends a message that has no answer out of the server's end.
    pub(crate) async fn tell<F>(&self, send: impl FnOnce(Arc<ChannelWriteHalf<client::Msg>>) -> F)
    where
        F: Future<Output = Result<(), russh::Error>>,
    {
        if let Some(half) = self.requests.get() {
            // A failure means that the channel is gone, so there is nothing left to tell.
            let _ = send(Arc::clone(half)).await;
        }
    }

    /// Answers the oldest request.
    pub(crate) fn answered(&self, answer: bool) {
        if let Some(waiting) = self.lock_replies().pop_front() {
            let _ = waiting.send(answer);
        }
    }

    fn lock_replies(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<bool>>> {
        self.replies.lock()
    }
}
