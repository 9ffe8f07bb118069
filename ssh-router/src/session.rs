//! State that the two connections of one session share: the person, the channels, and the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use berth_schema::name::UserName;
use parking_lot::{Mutex, MutexGuard};
use russh::client::Handle;
use russh::{ChannelId, server};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::decide::Grant;
use crate::end::Side;
use crate::link::Links;
use crate::spill::Overflow;
use crate::unjoined::Unjoined;
use crate::upstream::Upstream;
use crate::words;

/// State that both connections share.
pub(crate) struct Shared {
    pub(crate) links: Arc<Links>,
    /// Cancelled to end both connections at once.
    pub(crate) cut: CancellationToken,
    /// Cancelled when the connection to the server ends after the router was let in.
    pub(crate) upstream_ended: CancellationToken,
    /// Set when the connection to the server has ended, however far it had come.
    upstream_gone: AtomicBool,
    pub(crate) wants: Wants,
    /// Notified when somebody has logged in.
    pub(crate) granted: Notify,
    /// Number of refused credentials.
    pub(crate) refused: AtomicU32,
    /// Number of refused passwords among them.
    pub(crate) passwords: AtomicU32,
    /// Number of refused channels: by the server, for lack of a connection, or as one too many.
    pub(crate) unopened: AtomicU32,
    /// Last attempt to log in.
    tried: Mutex<Tried>,
    grant: OnceLock<Grant>,
    client: OnceLock<server::Handle>,
    upstream: watch::Sender<State>,
    /// Channels that were opened only to say why there is no server.
    apologies: Mutex<HashMap<ChannelId, (Unjoined, Arc<str>)>>,
}

/// Attempt to log in, kept for the log.
#[derive(Debug, Default)]
struct Tried {
    login: Option<String>,
    key_of: Option<UserName>,
}

/// Kinds of channels that the person has asked for; a server may open no others towards them.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    forwarding: AtomicBool,
    agent: AtomicBool,
}

/// Progress of the connection to the server.
#[derive(Clone)]
enum State {
    Connecting,
    Up(Arc<Handle<Upstream>>),
    Down(Arc<str>),
}

/// Longest login that the log shows, in bytes.
const LOGIN_MAX: usize = 64;

impl Shared {
    /// State of a new session, which may have `channels` channels at once.
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
            passwords: AtomicU32::new(0),
            unopened: AtomicU32::new(0),
            tried: Mutex::default(),
            grant: OnceLock::new(),
            client: OnceLock::new(),
            upstream: watch::Sender::new(State::Connecting),
            apologies: Mutex::default(),
        }
    }

    /// Remembers the login that somebody tried.
    pub(crate) fn set_login(&self, login: &str) {
        let mut tried = self.lock_tried();
        if tried.login.as_deref() != Some(login) {
            tried.login = Some(words::cut(login, LOGIN_MAX).to_owned());
        }
    }

    /// Counts a refused credential. `key_of` is the holder of the key that was shown; showing it proves nothing.
    pub(crate) fn refuse(&self, key_of: Option<UserName>) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if key_of.is_some() {
            self.lock_tried().key_of = key_of;
        }
    }

    /// Counts a refused password.
    pub(crate) fn refuse_password(&self) {
        self.passwords.fetch_add(1, Ordering::Relaxed);
        self.refuse(None);
    }

    /// Returns the login that was tried last and the holder of the key that was shown. The log escapes texts, so that none
    /// of them breaks its line.
    pub(crate) fn tried(&self) -> (Option<String>, Option<String>) {
        let tried = self.lock_tried();
        (tried.login.clone(), tried.key_of.as_ref().map(ToString::to_string))
    }

    fn lock_tried(&self) -> MutexGuard<'_, Tried> {
        self.tried.lock()
    }

    /// Grant of the person who logged in, once somebody has.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.grant.get()
    }

    /// Remembers a login. Only the first counts: a connection logs in once.
    pub(crate) fn set_grant(&self, grant: Grant) {
        let _ = self.grant.set(grant);
    }

    /// Handle of the person's connection, once they have logged in.
    pub(crate) fn client(&self) -> Option<server::Handle> {
        self.client.get().cloned()
    }

    pub(crate) fn set_client(&self, handle: server::Handle) {
        let _ = self.client.set(handle);
    }

    /// Waits for the connection to the server. The error tells the person why there is none.
    pub(crate) async fn upstream(&self) -> Result<Arc<Handle<Upstream>>, Arc<str>> {
        let mut state = self.upstream.subscribe();
        let known = tokio::select! {
            known = state.wait_for(|state| !matches!(state, State::Connecting)) => known.map(|s| s.clone()).ok(),
            () = self.cut.cancelled() => None,
        };
        match known {
            Some(State::Up(handle)) => Ok(handle),
            Some(State::Down(why)) => Err(why),
            _ => Err("the session has ended".into()),
        }
    }

    /// Sets the outcome of the attempt to reach the server.
    pub(crate) fn set_upstream(&self, outcome: Result<Handle<Upstream>, Arc<str>>) {
        let state = outcome.map_or_else(State::Down, |handle| State::Up(Arc::new(handle)));
        self.upstream.send_replace(state);
        self.end_without_upstream();
    }

    /// Notes that the connection to the server has ended. Data that had arrived from it still goes out, then the session
    /// ends. If the router had not been let in yet, the session goes on and the person is told why there is no server.
    pub(crate) async fn upstream_is_gone(&self) {
        self.links.side_is_gone(Side::Server).await;
        self.upstream_gone.store(true, Ordering::SeqCst);
        self.end_without_upstream();
    }

    /// Ends the session once the server was reached and its connection is gone. It runs after each of the two changes, so
    /// that the later one sees both.
    fn end_without_upstream(&self) {
        if matches!(*self.upstream.borrow(), State::Up(_)) && self.upstream_gone.load(Ordering::SeqCst) {
            self.upstream_ended.cancel();
        }
    }

    /// Keeps a channel that will only say `why` there is no server.
    pub(crate) fn apologise(&self, channel: Unjoined, why: Arc<str>) {
        channel.end.inbox.abandon();
        self.lock_apologies().insert(channel.id(), (channel, why));
    }

    /// Takes a channel that only says why there is no server, and the reason.
    pub(crate) fn apology(&self, id: ChannelId) -> Option<(Unjoined, Arc<str>)> {
        self.lock_apologies().remove(&id)
    }

    fn lock_apologies(&self) -> MutexGuard<'_, HashMap<ChannelId, (Unjoined, Arc<str>)>> {
        self.apologies.lock()
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
