//! Troubles with a provider, in words for the log, each with its kind.

use std::sync::Arc;
use std::time::Duration;

use berth_secrets::SecretError;
use berth_wire::oidc::{Trouble, TroubleKind};

/// The provider can't be asked, or its answer can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error("{url} can't be reached: {why}")]
    Unreachable { url: String, why: String },
    #[error("{url} gave no answer within {} s", within.as_secs_f32())]
    Silent { url: String, within: Duration },
    #[error("the answer of {url} is longer than {most} bytes, or broke off")]
    Long { url: String, most: usize },
    #[error("{url} answered {status}")]
    Status { url: String, status: http::StatusCode },
    #[error("the answer of {url} makes no sense: {why}")]
    Unreadable { url: String, why: String },
    #[error("{url} describes the issuer `{found}`, and `panel.oidc.issuer` is `{expected}`")]
    OtherIssuer { url: String, expected: String, found: String },
    #[error("the provider names {url}, which isn't safe: it has to begin with `https://`")]
    Plain { url: String },
    #[error("the provider publishes no key that a token could be signed with")]
    NoKeys,
    #[error("the provider doesn't take the code: {0}")]
    Code(String),
    #[error(
        "the provider doesn't take the client: {0}; does the secret of `panel.oidc.secret` belong to `panel.oidc.client_id`?"
    )]
    Client(String),
    #[error("the provider gave no ID token: does it know the scope `openid`?")]
    NoToken,
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(
        "there are no root certificates to check the provider by: install `ca-certificates`, or write `panel.oidc.ca`"
    )]
    NoRoots,
    #[error("the settings of `[panel.oidc]` have just changed")]
    Changed,
    #[error("too many people sign in by the provider at once")]
    Busy,
    /// A fetch has failed, this one or one a moment ago.
    #[error(transparent)]
    Failed(Arc<Self>),
}

impl ProviderError {
    fn kind(&self) -> TroubleKind {
        match self {
            Self::Failed(error) => error.kind(),
            Self::Code(_) => TroubleKind::Refused,
            Self::OtherIssuer { .. }
            | Self::Plain { .. }
            | Self::Client(_)
            | Self::NoToken
            | Self::Secret(_)
            | Self::NoRoots => TroubleKind::Settings,
            _ => TroubleKind::Down,
        }
    }
}

impl From<&ProviderError> for Trouble {
    fn from(error: &ProviderError) -> Self {
        let message = berth_schema::text::safe_line(&berth_fault::chain(error), 500);
        Self { kind: error.kind(), message }
    }
}
