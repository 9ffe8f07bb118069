//! What the two connections of one session share: who it is, the channels, and the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use berth_schema::name::UserName;
use russh::client::Handle;
use russh::{ChannelId, server};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::decide::Grant;
use crate::link::{Links, Side};
use crate::spill::Overflow;
use crate::unjoined::Unjoined;
use crate::upstream::Upstream;
use crate::words;

/// See the module.
pub(crate) struct Shared {
    pub(crate) links: Arc<Links>,
    /// Cancelled to end both connections at once.
    pub(crate) cut: CancellationToken,
    /// Cancelled when the server's connection, on which the router had been let in, has ended.
    pub(crate) upstream_ended: CancellationToken,
    /// Whether the server's connection has ended, however far it had come.
    upstream_gone: AtomicBool,
    pub(crate) wants: Wants,
    /// Rung when somebody has logged in.
    pub(crate) granted: Notify,
    /// Credentials that were refused.
    pub(crate) refused: AtomicU32,
    /// Channels that were refused: by the server, by the way to it, or as one too many.
    pub(crate) unopened: AtomicU32,
    /// What was tried last, while nobody has logged in.
    tried: Mutex<Tried>,
    grant: OnceLock<Grant>,
    client: OnceLock<server::Handle>,
    upstream: watch::Sender<State>,
    /// Channels that were opened to say why there is no server.
    apologies: Mutex<HashMap<ChannelId, (Unjoined, Arc<str>)>>,
}

/// An attempt to log in, for the log: it says who reached for what.
#[derive(Debug, Default)]
struct Tried {
    login: Option<String>,
    key_of: Option<UserName>,
}

/// What the person has asked for; a server may open nothing else towards them.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    forwarding: AtomicBool,
    agent: AtomicBool,
}

/// How far the server's connection is.
#[derive(Clone)]
enum State {
    Connecting,
    Up(Arc<Handle<Upstream>>),
    Down(Arc<str>),
}

/// As much of a login as the log has room for, in bytes.
const LOGIN_MAX: usize = 64;

impl Shared {
    /// With at most `channels` channels at once.
    pub(crate) fn new(overflow: Arc<Overflow>, channels: usize) -> Self {
        let cut = CancellationToken::new();
        Self {
            links: Arc::new(Links::new(overflow, cut.clone(), channels)),
            cut,
            upstream_ended: CancellationToken::new(),
            upstream_gone: AtomicBool::new(false),
            wants: Wants::default(),
            granted: Notify::new(),
            refused: AtomicU32::new(0),
            unopened: AtomicU32::new(0),
            tried: Mutex::default(),
            grant: OnceLock::new(),
            client: OnceLock::new(),
            upstream: watch::Sender::new(State::Connecting),
            apologies: Mutex::default(),
        }
    }

    /// Remembers a login that somebody tried.
    pub(crate) fn set_login(&self, login: &str) {
        let mut tried = self.lock_tried();
        if tried.login.as_deref() != Some(login) {
            tried.login = Some(words::cut(login, LOGIN_MAX).to_owned());
        }
    }

    /// Counts a credential that was refused. `key_of` is whose the key is that was shown, which proves nothing.
    pub(crate) fn refuse(&self, key_of: Option<UserName>) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if key_of.is_some() {
            self.lock_tried().key_of = key_of;
        }
    }

    /// The last login that was tried, and whose key was shown. The log escapes a text, so that none breaks its line.
    pub(crate) fn tried(&self) -> (Option<String>, Option<String>) {
        let tried = self.lock_tried();
        (tried.login.clone(), tried.key_of.as_ref().map(ToString::to_string))
    }

    fn lock_tried(&self) -> MutexGuard<'_, Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who logged in, once somebody has.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.grant.get()
    }

    /// Remembers who logged in. Only the first counts: a connection logs in once.
    pub(crate) fn set_grant(&self, grant: Grant) {
        let _ = self.grant.set(grant);
    }

    /// The person's connection, once they are logged in.
    pub(crate) fn client(&self) -> Option<server::Handle> {
        self.client.get().cloned()
    }

    pub(crate) fn set_client(&self, handle: server::Handle) {
        let _ = self.client.set(handle);
    }

    /// The server's connection; waits while it is being made. `Err` says why there is none.
    pub(crate) async fn upstream(&self) -> Result<Arc<Handle<Upstream>>, Arc<str>> {
        let mut state = self.upstream.subscribe();
        let known = tokio::select! {
            known = state.wait_for(|state| !matches!(state, State::Connecting)) => known.map(|s| s.clone()).ok(),
            () = self.cut.cancelled() => None,
        };
        match known {
            Some(State::Up(handle)) => Ok(handle),
            Some(State::Down(why)) => Err(why),
            _ => Err("the session is over".into()),
        }
    }

    /// Says how the attempt to reach the server went.
    pub(crate) fn set_upstream(&self, outcome: Result<Handle<Upstream>, Arc<str>>) {
        let state = outcome.map_or_else(State::Down, |handle| State::Up(Arc::new(handle)));
        self.upstream.send_replace(state);
        self.end_without_upstream();
    }

    /// The server's connection has ended: what it had said still goes out, then the session ends. One that ended before
    /// the router was let in ends nothing: the person is told why there is no server.
    pub(crate) async fn upstream_is_gone(&self) {
        self.links.side_is_gone(Side::Server).await;
        self.upstream_gone.store(true, Ordering::SeqCst);
        self.end_without_upstream();
    }

    /// Called after each of the two that it looks at, so that the last one sees both.
    fn end_without_upstream(&self) {
        if matches!(*self.upstream.borrow(), State::Up(_)) && self.upstream_gone.load(Ordering::SeqCst) {
            self.upstream_ended.cancel();
        }
    }

    /// Remembers what a channel is to say instead of running anything.
    pub(crate) fn apologise(&self, channel: Unjoined, why: Arc<str>) {
        channel.end.inbox.abandon();
        self.lock_apologies().insert(channel.id(), (channel, why));
    }

    /// The channel, if it is to say something instead of running anything, and what.
    pub(crate) fn apology(&self, id: ChannelId) -> Option<(Unjoined, Arc<str>)> {
        self.lock_apologies().remove(&id)
    }

    fn lock_apologies(&self) -> MutexGuard<'_, HashMap<ChannelId, (Unjoined, Arc<str>)>> {
        self.apologies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wants {
    pub(crate) fn forwarding(&self) -> bool {
        self.forwarding.load(Ordering::Relaxed)
    }

    pub(crate) fn agent(&self) -> bool {
        self.agent.load(Ordering::Relaxed)
    }

    pub(crate) fn want_forwarding(&self) {
        self.forwarding.store(true, Ordering::Relaxed);
    }

    pub(crate) fn want_agent(&self) {
        self.agent.store(true, Ordering::Relaxed);
    }
}
