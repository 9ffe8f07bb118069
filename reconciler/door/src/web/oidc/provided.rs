//! Ground of sign-ins by the provider: the way to it, rounds that are under way, and when somebody was last seen.

use std::path::Path;
use std::sync::Arc;

use berth_schema::oidc::OidcAccount;
use berth_schema::user::User;
use berth_wire::oidc::Fetcher;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::super::store::{Store, StoreError};
use super::joined::Joined;
use super::rounds::Rounds;
use super::seen::Seen;
use super::strangers::Strangers;
use crate::members::Members;

/// Questions that wait for the provider at once: a slow one leaves the door's other places to everybody else.
const WAITING: usize = 8;

/// Sign-ins by the provider.
#[derive(Debug)]
pub(crate) struct Provided {
    /// The process that reaches the provider.
    pub(super) fetcher: Fetcher,
    /// Places of questions that wait for it.
    pub(super) places: Semaphore,
    pub(super) rounds: Rounds,
    /// People who may join.
    pub(super) strangers: Strangers,
    /// Accounts that are members' already.
    pub(super) joined: Arc<Joined>,
    pub(crate) seen: Seen,
}

impl Provided {
    /// Reads what is kept in a folder of the door's; `data` is Berth's.
    pub(crate) fn open(store: Store, data: &Path, members: &Members) -> Result<Self, StoreError> {
        let joined = Arc::new(Joined::open(store.folder("joined")?)?);
        let keeping = Arc::clone(&joined);
        members.watch(move |state| keeping.keep(state));
        Ok(Self {
            fetcher: Fetcher::of(data),
            places: Semaphore::new(WAITING),
            rounds: Rounds::default(),
            strangers: Strangers::default(),
            joined,
            seen: Seen::open(store)?,
        })
    }

    /// Remembers that a member has come by an account that they have bound.
    pub(super) fn seen(&self, user: &User, account: &OidcAccount, now: Timestamp) -> Result<(), StoreError> {
        self.joined.mark(account, &user.name)?;
        self.seen.mark(user, account, now)
    }
}
