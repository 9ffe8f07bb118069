//! One order of the wildcard certificate, from the account to the chain (RFC 8555, 7.4).

use std::time::Duration;

use berth_schema::name::Fqdn;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};

use crate::store::Certificate;
use crate::trouble::OrderError;
use crate::zone::Zone;

/// Wait before the first question whether the CA is done.
const SOON: Duration = Duration::from_millis(250);

/// The order of a certificate for a domain and the names directly below it.
pub(crate) struct Wanted<'a> {
    pub(crate) domain: &'a Fqdn,
    /// Name at which the proof is put.
    pub(crate) place: String,
    pub(crate) zone: &'a Zone,
    /// URL of the CA's directory.
    pub(crate) directory: &'a str,
    /// Time for the CA to look, and again to sign.
    pub(crate) within: Duration,
}

impl Wanted<'_> {
    /// Orders the certificate. The proofs are taken out of the zone again, whatever becomes of it.
    pub(crate) async fn order(&self, account: &Account) -> Result<Certificate, OrderError> {
        let names = [Identifier::Dns(self.domain.to_string()), Identifier::Dns(format!("*.{}", self.domain))];
        let mut order =
            account.new_order(&NewOrder::new(&names)).await.map_err(|error| self.failed(error))?;
        let proofs = self.proofs(&mut order).await?;
        match proofs.is_empty() {
            // The CA remembers them from before.
            true => self.sign(&mut order).await,
            false => {
                let ordered = self.prove_and_sign(&mut order, &proofs).await;
                if let Err(error) = self.zone.take(&proofs).await {
                    tracing::warn!(%error, place = self.place, "a proof stays in the zone; it harms nothing");
                }
                ordered
            }
        }
    }

    /// Proofs that the CA wants to see.
    async fn proofs(&self, order: &mut Order) -> Result<Vec<String>, OrderError> {
        let mut proofs = Vec::new();
        let mut open = order.authorizations();
        while let Some(next) = open.next().await {
            let mut next = next.map_err(|error| self.failed(error))?;
            match next.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                status => return Err(OrderError::refused(format!("it calls an authorization {status:?}"))),
            }
            let name = next.identifier().to_string();
            let challenge = next.challenge(ChallengeType::Dns01).ok_or_else(|| OrderError::NoProof(name))?;
            proofs.push(challenge.key_authorization().dns_value());
        }
        Ok(proofs)
    }

    async fn prove_and_sign(&self, order: &mut Order, proofs: &[String]) -> Result<Certificate, OrderError> {
        self.zone.put(proofs).await?;
        let mut open = order.authorizations();
        while let Some(next) = open.next().await {
            let mut next = next.map_err(|error| self.failed(error))?;
            if next.status != AuthorizationStatus::Pending {
                continue;
            }
            if let Some(mut challenge) = next.challenge(ChallengeType::Dns01) {
                challenge.set_ready().await.map_err(|error| self.failed(error))?;
            }
        }
        self.sign(order).await
    }

    /// Waits until the CA has looked, and has it sign a new key.
    async fn sign(&self, order: &mut Order) -> Result<Certificate, OrderError> {
        let patience = RetryPolicy::new().initial_delay(SOON).timeout(self.within);
        match order.poll_ready(&patience).await {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
            Ok(_) => return Err(self.unproven(order, "it doesn't say why").await),
            Err(instant_acme::Error::Api(problem)) => {
                let words = problem.detail.unwrap_or_default();
                return Err(self.unproven(order, &words).await);
            }
            Err(error) => return Err(self.failed(error)),
        }
        let key = order.finalize().await.map_err(|error| self.failed(error))?;
        let chain = order.poll_certificate(&patience).await.map_err(|error| self.failed(error))?;
        let unreadable = || OrderError::unreadable("it is no certificate");
        Certificate::parse(format!("{key}\n{chain}")).ok_or_else(unreadable)
    }

    /// Failure of an order that the CA calls invalid, in the words of the challenge that failed, or else in those of the order.
    async fn unproven(&self, order: &mut Order, words: &str) -> OrderError {
        let mut open = order.authorizations();
        while let Some(Ok(mut next)) = open.next().await {
            // As they are now.
            let _ = next.refresh().await;
            let why = next.challenges.iter().find_map(|challenge| challenge.error.as_ref()?.detail.clone());
            if let Some(why) = why {
                return OrderError::Unproven { place: self.place.clone(), why };
            }
        }
        OrderError::refused(words)
    }

    fn failed(&self, error: instant_acme::Error) -> OrderError {
        OrderError::of(error, self.directory)
    }
}
