//! Grants: what the door signs so that somebody may open a guarded site. Owns the key, the ways in that are still open, the
//! grants that may still be good, and the list of what has ended.
//!
//! Whoever may open what isn't decided here.

mod codes;
mod key;
mod ledger;

use std::collections::HashMap;

use berth_schema::name::{Fqdn, UserName};
use berth_wire::grant::{Ending, GRANT_LIFE, Grant, SessionId, Shown};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

pub(crate) use codes::{Codes, Way};

use key::Key;
pub(crate) use ledger::Ledger;

use super::secret::SecretError;
use super::store::{Store, StoreError};

/// Time that clocks may differ by, and a grant live on.
const SLACK: SignedDuration = SignedDuration::from_secs(30);

/// Grants of this door.
#[derive(Debug)]
pub(crate) struct Grants {
    key: Key,
    pub(crate) codes: Codes,
    pub(crate) ledger: Ledger,
    /// Holders of grants that may still be good.
    out: Mutex<HashMap<(SessionId, Fqdn), Held>>,
}

#[derive(Debug, Clone)]
struct Held {
    user: UserName,
    until: Timestamp,
}

impl Grants {
    /// Reads the key and the list, and makes a key where there is none.
    pub(crate) fn open(store: &Store, now: Timestamp) -> Result<Self, SecretError> {
        Ok(Self {
            key: Key::open(store)?,
            codes: Codes::default(),
            ledger: Ledger::open(store.clone(), now)?,
            out: Mutex::default(),
        })
    }

    /// The public key, in base64.
    pub(crate) fn public_key(&self) -> String {
        self.key.public()
    }

    /// Remembers that somebody is about to get a grant, before it is found out if they may: whoever loses the right meanwhile loses
    /// this grant too. It is for a grant that is signed with the same `now`.
    pub(crate) fn hold(&self, user: &UserName, session: &SessionId, host: &Fqdn, now: Timestamp) {
        let held = Held { user: user.clone(), until: now + GRANT_LIFE + SLACK };
        let mut out = self.out.lock();
        out.retain(|_, held| held.until > now);
        out.insert((session.clone(), host.clone()), held);
    }

    /// Signs a grant.
    pub(crate) fn sign(&self, user: &UserName, session: SessionId, host: Fqdn, now: Timestamp) -> String {
        let grant = Grant { until: now + GRANT_LIFE, host, user: user.clone(), session };
        grant.with_signature(&self.key.sign(&grant.signed()))
    }

    /// Reads a grant that this door has signed.
    pub(crate) fn read(&self, text: &str) -> Option<Grant> {
        let shown = Shown::read(text)?;
        self.key.has_signed(&shown.grant.signed(), &shown.signature).then_some(shown.grant)
    }

    /// Ends what sessions can open as a whole.
    pub(crate) fn end_sessions(
        &self,
        sessions: impl IntoIterator<Item = SessionId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ends = sessions.into_iter().map(|session| Ending::of_session(&session, now));
        self.ledger.add(ends.collect(), now)
    }

    /// Ends the grants whose holder may not open the site any more.
    pub(crate) fn end_unless(
        &self,
        may: impl Fn(&UserName, &Fqdn) -> bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut ends = Vec::new();
        self.out.lock().retain(|(session, host), held| {
            let stays = may(&held.user, host);
            if !stays && held.until > now {
                ends.push(Ending::of_host(session, host, now));
            }
            stays && held.until > now
        });
        self.ledger.add(ends, now)
    }
}
