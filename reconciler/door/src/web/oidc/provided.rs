//! Ground of sign-ins by the provider: the way to it, rounds that are under way, and when somebody was last seen.

use std::path::Path;

use berth_wire::oidc::Fetcher;
use tokio::sync::Semaphore;

use super::super::store::{Store, StoreError};
use super::joined::Joined;
use super::rounds::Rounds;
use super::seen::Seen;
use super::strangers::Strangers;

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
    /// People who have joined.
    pub(super) joined: Joined,
    pub(crate) seen: Seen,
}

impl Provided {
    /// Reads what is kept in a folder of the door's; `data` is Berth's.
    pub(crate) fn open(store: Store, data: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            fetcher: Fetcher::of(data),
            places: Semaphore::new(WAITING),
            rounds: Rounds::default(),
            strangers: Strangers::default(),
            joined: Joined::open(store.folder("joined")?)?,
            seen: Seen::open(store)?,
        })
    }
}
