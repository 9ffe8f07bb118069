//! Grants that are in use: each is renewed once for everybody who uses it, and what it keeps open ends with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use berth_fault::chain;
use berth_schema::name::Fqdn;
use berth_wire::grant::{GRANT_LIFE, Grant, SessionId};
use berth_wire::web::{AskError, Door, Granted, Renew, Secret, Why};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::grants::Verified;
use crate::told::Told;

/// Time in which the door answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wait before the door is asked again that didn't answer.
const AGAIN: Duration = Duration::from_secs(2);
/// The most that are remembered.
const MOST: usize = 65_536;

/// Everything that knows about grants. A clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Grants(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    verified: Verified,
    told: watch::Receiver<Told>,
    door: Door,
    live: Mutex<HashMap<(SessionId, Fqdn), Arc<Live>>>,
}

/// A session's right to one site.
#[derive(Debug)]
pub(crate) struct Live {
    now: watch::Sender<Now>,
    /// Held while the door is asked.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Now {
    text: Arc<str>,
    grant: Grant,
    /// Set once the door has said no.
    refused: bool,
}

/// Reason for which nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum No {
    /// There is no good grant: sign in.
    Grant,
    /// The door can't be asked, or hasn't told its key yet.
    Door,
}

impl Grants {
    pub(crate) fn new(door: Door, told: watch::Receiver<Told>) -> Self {
        Self(Arc::new(Shared { verified: Verified::default(), told, door, live: Mutex::default() }))
    }

    /// The organisation's contact, as the door told it last.
    pub(crate) fn contact(&self) -> Option<Arc<str>> {
        self.0.told.borrow().contact.clone()
    }

    /// Lets somebody use a grant, or not. One that has run out is renewed first, and one that soon will be meanwhile.
    pub(crate) async fn admit(&self, text: &str, host: &Fqdn) -> Result<Used, No> {
        let told = self.0.told.borrow().clone();
        let key = told.key.ok_or(No::Door)?;
        let grant = self.0.verified.read(&key, text).filter(|grant| grant.host == *host).ok_or(No::Grant)?;
        let live = self.find(text, &grant);
        let used = Used { grants: self.clone(), live };
        let now = used.now();
        if now.refused || told.ended.has(&now.grant) {
            return Err(No::Grant);
        }
        let left = now.grant.until.duration_since(Timestamp::now());
        if left <= jiff::SignedDuration::ZERO {
            used.renew().await?;
        } else if left < GRANT_LIFE / 2 {
            let used = used.clone();
            tokio::spawn(async move { used.renew().await });
        }
        Ok(used)
    }

    /// Reads a grant that the door has just given for this host.
    pub(crate) fn accept(&self, granted: Granted, host: &Fqdn) -> Option<(Arc<str>, Grant)> {
        let key = self.0.told.borrow().key.clone()?;
        let Secret(text) = granted.grant;
        let grant = self.0.verified.read(&key, &text).filter(|grant| grant.host == *host)?;
        Some((text.into(), grant))
    }

    /// Forgets grants that nobody uses and that have run out.
    pub(crate) fn sweep(&self) {
        let now = Timestamp::now();
        self.0
            .live
            .lock()
            .retain(|_, live| Arc::strong_count(live) > 1 || live.now.borrow().grant.until > now);
    }

    fn find(&self, text: &str, grant: &Grant) -> Arc<Live> {
        let place = (grant.session.clone(), grant.host.clone());
        let mut all = self.0.live.lock();
        let shown = || Now { text: text.into(), grant: grant.clone(), refused: false };
        let Some(live) = all.get(&place) else {
            let live =
                Arc::new(Live { now: watch::Sender::new(shown()), renewing: tokio::sync::Mutex::default() });
            if all.len() >= MOST {
                all.clear();
            }
            all.insert(place, Arc::clone(&live));
            return live;
        };
        // The browser may have got a newer one by coming in again.
        live.now.send_if_modified(|now| {
            let is_newer = grant.until > now.grant.until;
            if is_newer {
                *now = shown();
            }
            is_newer
        });
        Arc::clone(live)
    }
}

/// A grant in use. A clone is another use of the same.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    grants: Grants,
    live: Arc<Live>,
}

impl Used {
    fn now(&self) -> Now {
        self.live.now.borrow().clone()
    }

    pub(crate) fn grant(&self) -> Grant {
        self.now().grant
    }

    /// A newer text of it than the one that was shown.
    pub(crate) fn newer_than(&self, shown: &str) -> Option<Arc<str>> {
        let now = self.now();
        (*now.text != *shown && !now.refused).then_some(now.text)
    }

    /// Waits until there is no right to it any more: its session has ended, its person has lost the right, or it has run out and
    /// couldn't be renewed.
    pub(crate) async fn over(&self) {
        let mut told = self.grants.0.told.clone();
        let mut changes = self.live.now.subscribe();
        loop {
            let now = changes.borrow_and_update().clone();
            if now.refused || told.borrow_and_update().ended.has(&now.grant) {
                return;
            }
            let left = now.grant.until.duration_since(Timestamp::now());
            let until_half = Duration::try_from(left - GRANT_LIFE / 2).unwrap_or_default();
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                // Without anybody who reads the files nothing would end any more.
                changed = told.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(until_half) => match self.renew().await {
                    Ok(()) => {}
                    Err(No::Grant) => return,
                    Err(No::Door) => {
                        let left = self.now().grant.until.duration_since(Timestamp::now());
                        let Ok(left) = Duration::try_from(left) else { return };
                        if left.is_zero() {
                            return;
                        }
                        tokio::select! {
                            changed = told.changed() => if changed.is_err() { return },
                            () = tokio::time::sleep(left.min(AGAIN)) => {}
                        }
                    }
                },
            }
        }
    }

    /// Has the door renew it, unless somebody else has done that meanwhile.
    async fn renew(&self) -> Result<(), No> {
        let _one_at_a_time = self.live.renewing.lock().await;
        let now = self.now();
        if now.refused {
            return Err(No::Grant);
        }
        if now.grant.until.duration_since(Timestamp::now()) >= GRANT_LIFE / 2 {
            return Ok(());
        }
        let question = Renew { grant: Secret(now.text.as_ref().to_owned()) };
        let asked = tokio::time::timeout(PATIENCE, self.grants.0.door.ask(None, &question)).await;
        let granted = match asked {
            Ok(Ok(granted)) => granted,
            Ok(Err(AskError::Refused(refusal))) if is_final(refusal.why) => {
                self.live.now.send_modify(|now| now.refused = true);
                return Err(No::Grant);
            }
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "a grant can't be renewed");
                return Err(No::Door);
            }
            Err(_) => {
                tracing::warn!("the door takes too long to renew a grant");
                return Err(No::Door);
            }
        };
        let renewed = self.grants.accept(granted, &now.grant.host);
        let renewed =
            renewed.filter(|(_, grant)| grant.session == now.grant.session && grant.user == now.grant.user);
        let Some((text, grant)) = renewed else {
            tracing::error!("the door has renewed a grant with another, or with a key that it hasn't told");
            return Err(No::Door);
        };
        self.live.now.send_replace(Now { text, grant, refused: false });
        Ok(())
    }
}

/// Returns whether the same question would be refused again.
pub(crate) fn is_final(why: Why) -> bool {
    !matches!(why, Why::Unavailable | Why::TooMany { .. })
}
