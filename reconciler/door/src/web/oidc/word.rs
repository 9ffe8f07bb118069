//! The provider's word for somebody: an ID token, and the check of it (OpenID Connect Core, 3.1.3.7).

use std::str::FromStr as _;

use berth_schema::oidc::{Oidc, OidcAccount};
use berth_wire::oidc::Provider;
use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, IdToken, IssuerUrl, Nonce,
    SignatureVerificationError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rounds::Round;

/// Seconds by which the provider's clock and ours may differ.
const SKEW: i64 = 60;
/// Age up to which a proof at the provider counts as one that was just given.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// The most groups of somebody that are looked at.
const GROUPS: usize = 1000;
/// Algorithms that a provider may sign with. No algorithm whose key the panel would share with it, and none at all, is among them.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A checked word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The account.
    pub(super) account: OidcAccount,
    /// The address, if the provider has verified it.
    pub(super) email: Option<String>,
    /// Set if the provider tells an address that it hasn't verified.
    pub(super) is_unverified: bool,
    /// The groups that the provider lists.
    pub(super) groups: Vec<String>,
    /// The name by which the provider calls the person.
    pub(super) called: Option<String>,
    /// When they proved to the provider who they are, where it says so.
    pub(super) proved: Option<Timestamp>,
}

impl Word {
    /// Returns whether the provider says that the person proved a while ago who they are.
    pub(super) fn is_old(&self, now: Timestamp) -> bool {
        self.proved.is_some_and(|proved| now.duration_since(proved) > FRESH)
    }
}

/// A word that isn't taken. The reasons are for the log: whoever forges learns none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untrue {
    /// It is signed with a key that isn't among those that are known. Others may be by now.
    #[error("it is signed with a key that the provider doesn't publish")]
    UnknownKey,
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Unreadable(String),
    /// The check says no.
    #[error("the check says no: {0}")]
    Refused(#[from] ClaimsVerificationError),
    /// It was made for another client.
    #[error("it was made for the client {0:?}")]
    OtherClient(String),
    /// Its subject can't be written down.
    #[error("its subject can't be written down")]
    Subject,
}

/// Claims besides those that the standard names.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct More(Map<String, Value>);

impl AdditionalClaims for More {}

type Token = IdToken<More, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Checks an ID token: its signature by the provider's keys, whom it is from, for whom and for which round, and when it was made.
pub(super) fn check(
    text: &str,
    provider: &Provider,
    oidc: &Oidc,
    round: &Round,
    now: Timestamp,
) -> Result<Word, Untrue> {
    let unreadable = |error: &dyn std::fmt::Display| Untrue::Unreadable(error.to_string());
    let keys: CoreJsonWebKeySet =
        serde_json::from_value(provider.keys.clone()).map_err(|error| unreadable(&error))?;
    let token = Token::from_str(text).map_err(|error| unreadable(&error))?;
    let issuer = IssuerUrl::new(oidc.issuer.to_string()).map_err(|error| unreadable(&error))?;
    let client = ClientId::new(oidc.client_id.clone());
    let (moment, began) = (moment(now)?, round.began.as_second());
    let verifier = CoreIdTokenVerifier::new_public_client(client, issuer, keys)
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || moment)
        .set_issue_time_verifier_fn(move |made| {
            let made = made.timestamp();
            match made <= now.as_second() + SKEW && made >= began - SKEW {
                true => Ok(()),
                false => Err("it wasn't made in this round".to_owned()),
            }
        });
    let claims =
        token.claims(&verifier, &Nonce::new(round.nonce.0.clone())).map_err(|error| match error {
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                Untrue::UnknownKey
            }
            error => Untrue::Refused(error),
        })?;
    if let Some(other) = claims.authorized_party().filter(|party| party.as_str() != oidc.client_id) {
        return Err(Untrue::OtherClient(other.to_string()));
    }
    let account =
        OidcAccount::new(oidc.issuer.as_str(), claims.subject().as_str()).map_err(|_| Untrue::Subject)?;
    let is_verified = claims.email_verified() == Some(true);
    let email = claims.email().filter(|_| is_verified);
    Ok(Word {
        account,
        email: email.map(|email| email.to_string()),
        is_unverified: claims.email().is_some() && !is_verified,
        groups: groups(&claims.additional_claims().0, &oidc.groups_claim),
        called: claims.preferred_username().map(|name| name.to_string()),
        proved: claims.auth_time().and_then(|at| Timestamp::from_second(at.timestamp()).ok()),
    })
}

/// The moment as the crate's own type.
fn moment<T: std::str::FromStr>(now: Timestamp) -> Result<T, Untrue> {
    now.to_string().parse().map_err(|_| Untrue::Unreadable(format!("{now} is no time")))
}

/// The groups in a claim: a list of texts, or one text.
fn groups(claims: &Map<String, Value>, claim: &str) -> Vec<String> {
    match claims.get(claim) {
        Some(Value::Array(groups)) => {
            groups.iter().filter_map(|group| group.as_str().map(str::to_owned)).take(GROUPS).collect()
        }
        Some(Value::String(group)) => vec![group.clone()],
        _ => Vec::new(),
    }
}
