//! One CA: a connection that knows its roots, and a deadline for each request.

use std::future::Future;
use std::sync::Arc;

use berth_ca::{CaError, Pace, RootsError, checked_by};
use rustls::ClientConfig;
use rustls_acme::acme::AcmeError;
use tokio::time::timeout;

use super::settings::Acme;
use super::trouble::{OrderError, is_bad_nonce};

/// Times that a request is repeated because its nonce had grown old meanwhile.
const REPEATS: usize = 3;

/// One CA.
#[derive(Debug)]
pub(super) struct Ca {
    pub(super) directory: String,
    /// URL of whom the CA may write to.
    pub(super) contact: Option<String>,
    pub(super) client: Arc<ClientConfig>,
    pub(super) pace: Pace,
}

impl Ca {
    /// Finds the roots that the CA is checked against, as they are now.
    pub(super) fn find(acme: &Acme) -> Result<Self, RootsError> {
        Ok(Self {
            directory: acme.directory.clone(),
            contact: acme.email.as_ref().map(|email| format!("mailto:{email}")),
            client: Arc::new(checked_by(acme.roots.as_deref())?),
            pace: acme.pace,
        })
    }

    /// Asks, within the deadline.
    pub(super) async fn ask<T, F>(&self, mut question: impl FnMut() -> F) -> Result<T, OrderError>
    where
        F: Future<Output = Result<T, AcmeError>>,
    {
        let mut repeats = 0;
        loop {
            let within = self.pace.request;
            let Ok(answer) = timeout(within, question()).await else {
                return Err(CaError::Silent { directory: self.directory.clone(), within }.into());
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if repeats < REPEATS && is_bad_nonce(&error) => repeats += 1,
                Err(error) => return Err(OrderError::of(error, &self.directory)),
            }
        }
    }
}
