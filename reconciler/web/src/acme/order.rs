//! One order, from the account to the certificate (RFC 8555, 7.4).
//!
//! The library's own state machine has no deadline, asks the CA to look again while it looks, and begins anew after a second.
//! So only its requests are used.

use std::time::Duration;

use berth_host::Waits;
use berth_wire::certificate::Proof;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_acme::acme::{Account, AcmeError, Auth, AuthStatus, Directory, Identifier, Order, OrderStatus};
use tokio::time::{sleep, timeout};

use super::ca::Ca;
use super::trouble::OrderError;
use super::validation::{Validation, Validations};
use crate::challenge::Challenges;

/// Waits between two questions whether the CA is done.
const POLLS: Waits = Waits::new(Duration::from_millis(250), Duration::from_secs(5));

/// The name of an order, and the proof of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proofs<'a> {
    pub(super) domain: &'a str,
    pub(super) proof: Proof,
    /// Place where HTTP-01 is answered.
    pub(super) challenges: &'a Challenges,
    /// Place where TLS-ALPN-01 is answered.
    pub(super) validations: &'a Validations,
}

/// Orders a certificate, and returns its key and its chain in PEM.
pub(super) async fn order(ca: &Ca, account_key: &[u8], proofs: Proofs<'_>) -> Result<String, OrderError> {
    let within = ca.pace.order;
    match timeout(within, steps(ca, account_key, proofs)).await {
        Ok(ordered) => ordered,
        Err(_) => Err(OrderError::Unfinished { directory: ca.directory.clone(), within }),
    }
}

async fn steps(ca: &Ca, account_key: &[u8], proofs: Proofs<'_>) -> Result<String, OrderError> {
    let domain = proofs.domain;
    let client = &ca.client;
    let directory = ca.ask(|| Directory::discover(client, &ca.directory)).await?;
    let account =
        ca.ask(|| Account::create_with_keypair(client, directory.clone(), &ca.contact, account_key)).await?;
    let (key, request) = request(domain)?;
    let (url, mut order) = ca.ask(|| account.new_order(client, vec![domain.to_owned()])).await?;
    if matches!(order.status, OrderStatus::Pending) {
        for url in &order.authorizations {
            prove(ca, &account, url, proofs).await?;
        }
        order = ca.ask(|| account.order(client, &url)).await?;
    }
    let mut polls = POLLS;
    loop {
        let Order { status, finalize, error, .. } = order;
        match status {
            OrderStatus::Ready => {
                order = ca.ask(|| account.finalize(client, &finalize, &request)).await?;
                continue;
            }
            OrderStatus::Valid { certificate } => {
                let chain = ca.ask(|| account.certificate(client, &certificate)).await?;
                return Ok(format!("{}\n{chain}", key.serialize_pem()));
            }
            OrderStatus::Invalid => return Err(OrderError::invalid(error)),
            // A CA may look at the proofs once more, or take its time to sign.
            OrderStatus::Pending | OrderStatus::Processing => sleep(polls.next_wait()).await,
        }
        order = ca.ask(|| account.order(client, &url)).await?;
    }
}

/// A new key, and the request for a certificate of it.
fn request(domain: &str) -> Result<(KeyPair, Vec<u8>), OrderError> {
    let made = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([domain.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?.der().to_vec();
        Ok((key, request))
    };
    made().map_err(|error| OrderError::Request(error.into()))
}

/// Proves the name, unless the CA remembers that from before.
async fn prove(ca: &Ca, account: &Account, url: &str, proofs: Proofs<'_>) -> Result<(), OrderError> {
    let ask = || ca.ask(|| account.auth(&ca.client, url));
    let mut auth = ask().await?;
    if !matches!(auth.status, AuthStatus::Pending) {
        return proofs.proven(&auth);
    }
    // Open until the CA has made up its mind: it looks from several places, and not all at once.
    let (url, _open) = proofs.open(ca, account, &auth)?;
    ca.ask(|| account.challenge(&ca.client, &url)).await?;
    let mut polls = POLLS;
    while matches!(auth.status, AuthStatus::Pending) {
        sleep(polls.next_wait()).await;
        auth = ask().await?;
    }
    proofs.proven(&auth)
}

impl<'a> Proofs<'a> {
    fn proven(self, auth: &Auth) -> Result<(), OrderError> {
        match auth.status {
            AuthStatus::Valid => Ok(()),
            _ => Err(OrderError::unproven(self.domain, self.proof, &auth.challenges)),
        }
    }

    /// Has the panel answer the challenge for as long as the second part is kept. The first is the challenge's URL.
    fn open(self, ca: &Ca, account: &Account, auth: &Auth) -> Result<(String, Open<'a>), OrderError> {
        let failed = |error: AcmeError| OrderError::of(error, &ca.directory);
        match self.proof {
            Proof::Http01 => {
                let (challenge, answer) = account.http_01(&auth.challenges).map_err(failed)?;
                self.challenges.open(&challenge.token, answer);
                let open = Open::Http(self.challenges, challenge.token.clone());
                Ok((challenge.url.clone(), open))
            }
            Proof::TlsAlpn01 => {
                let Identifier::Dns(name) = &auth.identifier;
                let (challenge, key) = account.tls_alpn_01(&auth.challenges, name.clone()).map_err(failed)?;
                let validation = Validation::new(name, key);
                self.validations.open(validation.map_err(|error| OrderError::Request(error.into()))?);
                Ok((challenge.url.clone(), Open::Tls(self.validations)))
            }
            // Nobody orders here by a proof that only Berth can give.
            Proof::Dns01 => Err(OrderError::NoProof(self.proof)),
        }
    }
}

/// A challenge that is answered for as long as this is kept.
#[derive(Debug)]
enum Open<'a> {
    Http(&'a Challenges, String),
    Tls(&'a Validations),
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        match self {
            Self::Http(challenges, token) => challenges.close(token),
            Self::Tls(validations) => validations.close(),
        }
    }
}
