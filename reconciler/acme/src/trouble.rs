//! Failures, in words for whoever reads `berth status`.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use berth_ca::{CaError, RootsError};
use berth_secrets::SecretError;
use berth_wire::certificate::OrderFailure;

/// Kind of a problem (RFC 8555, 6.7) that says that the account is gone.
const NO_ACCOUNT: &str = ":accountDoesNotExist";
/// Kind of a problem that says that the account has to be bound.
const UNBOUND: &str = ":externalAccountRequired";

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
pub(crate) struct Silent(pub(crate) Duration);

/// No account, or no certificate, for this reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(
        "the CA opens no account without a binding to one that it knows: write `[acme.eab]`, as its operator tells it"
    )]
    Unbound,
    #[error("the CA has no such account any more; another one is opened")]
    NoAccount,
    #[error("the CA doesn't offer DNS-01 as a proof of {0}")]
    NoProof(String),
    #[error("the CA didn't find the proof at {place}: {why}")]
    Unproven { place: String, why: String },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the secret `{0}` is no key in base64")]
    NoKey(String),
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

/// A proof didn't get into its zone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZoneError {
    #[error("the name server {server} can't be reached: {why}")]
    Unreachable { server: SocketAddr, why: String },
    #[error("the name server {server} has no zone for {place}; `acme.dns.zone` can name it")]
    NoZone { server: SocketAddr, place: String },
    #[error("the name server {server} refuses to update {place}: {why}")]
    Refused { server: SocketAddr, place: String, why: String },
    #[error(
        "the name server {server} doesn't take the key `{key}`, or its answer isn't signed with it: {why}"
    )]
    WrongKey { server: SocketAddr, key: String, why: String },
    #[error("{server} doesn't serve the proof at {place} {} s after the update", within.as_secs_f32())]
    Invisible { server: String, place: String, within: Duration },
    #[error("`{0}` is no name that a name server knows")]
    Name(String),
    #[error("the key of `[acme.dns]` can't be used")]
    Key(#[source] Box<dyn Error + Send + Sync>),
    #[error("the program {path} can't be used: {why}")]
    Program { path: PathBuf, why: String },
}

impl OrderError {
    /// Failure of a request to the CA with this directory.
    pub(crate) fn of(error: instant_acme::Error, directory: &str) -> Self {
        use instant_acme::Error as Of;
        match error {
            Of::Api(problem) => {
                let kind = problem.r#type.clone().unwrap_or_default();
                let words = problem.detail.clone().unwrap_or_else(|| problem.to_string());
                match kind {
                    kind if kind.ends_with(NO_ACCOUNT) => Self::NoAccount,
                    kind if kind.ends_with(UNBOUND) => Self::Unbound,
                    kind => CaError::refused(&kind, problem.status, words).into(),
                }
            }
            Of::Other(source) => match source.downcast_ref::<Silent>() {
                Some(Silent(within)) => {
                    CaError::Silent { directory: directory.to_owned(), within: *within }.into()
                }
                None => {
                    let why = innermost(&*source);
                    CaError::Unreachable { directory: directory.to_owned(), why }.into()
                }
            },
            Of::Timeout(_) => Self::refused("it doesn't finish the order"),
            error => Self::unreadable(error),
        }
    }

    /// Refusal in these words.
    pub(crate) fn refused(words: impl Into<String>) -> Self {
        CaError::Refused(words.into()).into()
    }

    /// An answer that can't be read, for this reason.
    pub(crate) fn unreadable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        CaError::Unreadable(error.into()).into()
    }

    /// Kind of the failure.
    pub(crate) fn kind(&self) -> OrderFailure {
        match self {
            Self::Ca(error) => error.kind(),
            Self::NoProof(_) | Self::Unbound | Self::NoAccount => OrderFailure::Refused,
            Self::Unproven { .. } => OrderFailure::Unproven,
            Self::Secret(_) | Self::NoKey(_) => OrderFailure::Secret,
            Self::Zone(_) => OrderFailure::Zone,
        }
    }
}

impl From<RootsError> for OrderError {
    fn from(error: RootsError) -> Self {
        Self::Ca(error.into())
    }
}

/// The error at the end of a chain, which says why.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
