//! Keeps the panel in a certificate: orders one when there is none, and another when two thirds of its time are over.

use std::fs;
use std::time::SystemTime;

use berth_ca::CaError;
use berth_schema::text::safe_line;
use berth_wire::certificate::{CertificateSource, FailedOrder, OrderFailure, Proof};
use jiff::Timestamp;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use super::ca::Ca;
use super::order::{Proofs, order};
use super::settings::Acme;
use super::store::Store;
use super::trouble::OrderError;
use super::validation::Validations;
use crate::challenge::Challenges;
use crate::tls::{Certificates, Ordered};

/// Characters of a failure that are kept.
const WORDS: usize = 1000;

/// Keeper of the panel's certificate.
#[derive(Debug)]
pub struct Keeper {
    /// Settings of the orders.
    pub acme: Acme,
    /// The panel's name.
    pub domain: String,
    /// Files of the account and the certificate.
    pub store: Store,
    /// Place where HTTP-01 is answered.
    pub challenges: Challenges,
    /// Place where TLS-ALPN-01 is answered.
    pub validations: Validations,
    /// The certificate that the panel serves with.
    pub certificates: Certificates,
}

impl Keeper {
    /// Works without an end.
    pub async fn keep(self) {
        let mut looks = interval(self.acme.pace.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut given) = (None, None);
        loop {
            looks.tick().await;
            if self.acme.proof == Proof::Dns01 {
                block_in_place(|| self.look_for_given(&mut given));
                continue;
            }
            if !self.is_due(Timestamp::now()) {
                continue;
            }
            match self.order().await {
                Ok(ordered) => {
                    tracing::info!(ends = %ordered.ends(), "the CA has given the panel a certificate");
                    told = None;
                    block_in_place(|| self.certificates.take(ordered));
                }
                Err(error) => self.failed(&error, &mut told),
            }
        }
    }

    /// Takes the certificate that Berth has ordered, when there is another one than at `last`.
    fn look_for_given(&self, last: &mut Option<SystemTime>) {
        let Ok(changed) = fs::metadata(&self.acme.given).and_then(|found| found.modified()) else { return };
        if last.replace(changed) == Some(changed) {
            return;
        }
        if let Some(given) = self.store.ordered() {
            tracing::info!(ends = %given.ends(), "the panel has the certificate that Berth has ordered");
            self.certificates.take(given);
        }
    }

    /// Returns whether an order is to be made now.
    fn is_due(&self, now: Timestamp) -> bool {
        if self.certificates.source() == CertificateSource::Files {
            return false;
        }
        let waits = self.certificates.failed().is_some_and(|failed| self.acme.pace.is_waiting(&failed, now));
        !waits && self.certificates.renew_at().is_none_or(|at| at <= now)
    }

    async fn order(&self) -> Result<Ordered, OrderError> {
        let ca = block_in_place(|| Ca::find(&self.acme))?;
        let account = block_in_place(|| self.store.account())?;
        let (challenges, validations) = (&self.challenges, &self.validations);
        let proofs = Proofs { domain: &self.domain, proof: self.acme.proof, challenges, validations };
        let pem = order(&ca, &account, proofs).await?;
        let ordered = Ordered::parse(pem.as_bytes()).map_err(|error| CaError::Unreadable(error.into()))?;
        if let Err(error) = block_in_place(|| self.store.keep(&pem)) {
            tracing::error!(
                error = berth_fault::chain(&error),
                "the panel's next process will order a certificate again"
            );
        }
        Ok(ordered)
    }

    /// Remembers a failure, and logs the first of its kind.
    fn failed(&self, error: &OrderError, told: &mut Option<OrderFailure>) {
        let (kind, why) = (error.kind(), safe_line(&berth_fault::chain(error), WORDS));
        let last = self.certificates.failed();
        let failed = self.acme.pace.failed(last.as_ref(), kind, why, Timestamp::now());
        if told.replace(kind) != Some(kind) {
            let FailedOrder { why, again, .. } = &failed;
            tracing::warn!(why, %again, "the CA has given the panel no certificate; it is asked again");
        }
        block_in_place(|| self.certificates.note(failed));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use berth_ca::Pace;
    use berth_wire::certificate::OrderStanding;

    use super::*;

    const DOMAIN: &str = "panel.example.org";

    fn keeper(data: &Path) -> Keeper {
        let (directory, proof) = ("https://ca.example.org/dir".to_owned(), Proof::Http01);
        let order = OrderStanding { directory: directory.clone(), proof, failed: None };
        let (account, given) = (None, data.join("given.pem"));
        let acme = Acme { directory, email: None, roots: None, proof, account, given, pace: Pace::default() };
        Keeper {
            store: Store::new(data, &acme, DOMAIN),
            acme,
            domain: DOMAIN.to_owned(),
            challenges: Challenges::default(),
            validations: Validations::default(),
            certificates: Certificates::open(data, DOMAIN, None, Some(order)).unwrap(),
        }
    }

    #[test]
    fn an_order_waits_after_a_failure() {
        let home = tempfile::tempdir().unwrap();
        let keeper = keeper(home.path());
        let now = Timestamp::now();
        assert!(keeper.is_due(now));
        let failed = keeper.acme.pace.failed(None, OrderFailure::Silent, String::new(), now);
        let again = failed.again;
        keeper.certificates.note(failed);
        assert!(!keeper.is_due(now) && keeper.is_due(again));
    }

    #[test]
    fn nothing_is_ordered_while_an_admin_s_files_are_there() {
        let home = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).unwrap();
        let tls = home.path().join("tls");
        fs::create_dir(&tls).unwrap();
        fs::write(tls.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(tls.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let keeper = keeper(home.path());
        assert!(!keeper.is_due(Timestamp::now()));
        fs::remove_dir_all(tls).unwrap();
        keeper.certificates.look();
        assert!(keeper.is_due(Timestamp::now()));
    }
}
