//! Failures, in words for whoever reads `berth status`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use berth_secrets::SecretError;
use berth_wire::certificate::OrderFailure;

/// Kind of a problem (RFC 8555, 6.7) that says to come back later.
const RATE_LIMITED: &str = ":rateLimited";
/// Kind of a problem that says that the account is gone.
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
    #[error("the CA can't be reached at {directory}: {why}")]
    Unreachable { directory: String, why: String },
    #[error(
        "the CA can't be checked, since this machine has no root certificates: install `ca-certificates`, or put the CA's into `acme.ca`"
    )]
    NoRoots,
    #[error("the certificates in `acme.ca` can't be used")]
    Roots(#[source] Box<dyn Error + Send + Sync>),
    #[error("the CA at {directory} didn't answer within {} s", within.as_secs_f32())]
    Silent { directory: String, within: Duration },
    #[error(
        "the CA opens no account without a binding to one that it knows: write `[acme.eab]`, as its operator tells it"
    )]
    Unbound,
    #[error("the CA has no such account any more; another one is opened")]
    NoAccount,
    #[error("the CA refuses: {0}")]
    Refused(String),
    #[error("the CA takes no more orders for now: {0}")]
    RateLimited(String),
    #[error("the CA doesn't offer DNS-01 as a proof of {0}")]
    NoProof(String),
    #[error("the CA didn't find the proof at {place}: {why}")]
    Unproven { place: String, why: String },
    #[error("the CA's answer can't be read")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the secret `{0}` is no key in base64")]
    NoKey(String),
    #[error(transparent)]
    Zone(#[from] ZoneError),
    #[error("cannot keep {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
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
                    kind if kind.ends_with(RATE_LIMITED) => Self::RateLimited(words),
                    kind if kind.ends_with(NO_ACCOUNT) => Self::NoAccount,
                    kind if kind.ends_with(UNBOUND) => Self::Unbound,
                    _ if problem.status == Some(429) => Self::RateLimited(words),
                    _ => Self::Refused(words),
                }
            }
            Of::Other(source) => match source.downcast_ref::<Silent>() {
                Some(Silent(within)) => Self::Silent { directory: directory.to_owned(), within: *within },
                None => Self::Unreachable { directory: directory.to_owned(), why: innermost(&*source) },
            },
            Of::Timeout(_) => Self::Refused("it doesn't finish the order".to_owned()),
            error => Self::Unreadable(error.into()),
        }
    }

    /// Kind of the failure.
    pub(crate) fn kind(&self) -> OrderFailure {
        match self {
            Self::Unreachable { .. } | Self::NoRoots | Self::Roots(_) => OrderFailure::Unreachable,
            Self::Silent { .. } => OrderFailure::Silent,
            Self::Refused(_) | Self::NoProof(_) | Self::Unbound | Self::NoAccount => OrderFailure::Refused,
            Self::RateLimited(_) => OrderFailure::RateLimited,
            Self::Unproven { .. } => OrderFailure::Unproven,
            Self::Unreadable(_) => OrderFailure::Unreadable,
            Self::Secret(_) | Self::NoKey(_) => OrderFailure::Secret,
            Self::Zone(_) => OrderFailure::Zone,
            Self::Folder { .. } => OrderFailure::Folder,
        }
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
