//! The provider's standing, for `berth status`: what the last fetch and the last exchange came to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_wire::oidc::{Exchanged, ProviderFailure, ProviderStanding, Trouble, TroubleKind};
use jiff::Timestamp;

use crate::trouble::ProviderError;

/// The outcomes that are known.
#[derive(Debug, Default)]
pub(crate) struct Standing(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    fetched: Option<Timestamp>,
    /// The last fetch, if it failed.
    unfetched: Option<ProviderFailure>,
    /// The last exchange, if it failed by no fault of the code's.
    unexchanged: Option<ProviderFailure>,
}

impl Standing {
    /// Tells it of a provider.
    pub(crate) fn told(&self, issuer: &str) -> ProviderStanding {
        let last = self.last();
        let failures = [&last.unfetched, &last.unexchanged].into_iter().flatten();
        let failed = failures.max_by_key(|failure| failure.at).cloned();
        ProviderStanding { issuer: issuer.to_owned(), fetched: last.fetched, failed }
    }

    /// Notes that description and keys were fetched.
    pub(crate) fn fetched(&self, at: Timestamp) {
        let mut last = self.last();
        (last.fetched, last.unfetched) = (Some(at), None);
    }

    /// Notes that they can't be fetched.
    pub(crate) fn unfetched(&self, error: &ProviderError) {
        self.last().unfetched = Some(failure(error));
    }

    /// Notes what an exchange came to.
    pub(crate) fn exchanged(&self, exchanged: &Result<Exchanged, ProviderError>) {
        match exchanged {
            Ok(_) => self.last().unexchanged = None,
            // They say nothing of the provider, or a fetch has told of it.
            Err(ProviderError::Busy | ProviderError::Changed | ProviderError::Failed(_)) => {}
            // Anybody may bring a code that is none.
            Err(error) if Trouble::from(error).kind == TroubleKind::Refused => {}
            Err(error) => self.last().unexchanged = Some(failure(error)),
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Nothing in it can be half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(error: &ProviderError) -> ProviderFailure {
    ProviderFailure { why: Trouble::from(error).message, at: Timestamp::now() }
}
