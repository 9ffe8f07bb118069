//! Ground of sign-ins by the provider: the way to it, rounds that are under way, and when somebody was last seen.

use std::path::Path;

use berth_wire::oidc::Fetcher;

use super::super::store::{Store, StoreError};
use super::rounds::Rounds;
use super::seen::Seen;
use super::strangers::Strangers;

/// Sign-ins by the provider.
#[derive(Debug)]
pub(crate) struct Provided {
    /// The process that reaches the provider.
    pub(super) fetcher: Fetcher,
    pub(super) rounds: Rounds,
    /// People who may join.
    pub(super) strangers: Strangers,
    pub(crate) seen: Seen,
}

impl Provided {
    /// Reads what is kept in a folder of the door's; `data` is Berth's.
    pub(crate) fn open(store: Store, data: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            fetcher: Fetcher::of(data),
            rounds: Rounds::default(),
            strangers: Strangers::default(),
            seen: Seen::open(store)?,
        })
    }
}
