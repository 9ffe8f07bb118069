//! Means by which somebody signed in.

use berth_schema::oidc::OidcAccount;
use serde::{Deserialize, Serialize};

/// Means by which somebody signed in where the token ends with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Means {
    /// Id of a passkey.
    pub(crate) passkey: Option<String>,
    /// Account at the OpenID provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc: Option<OidcAccount>,
}

impl Means {
    /// A passkey.
    pub(crate) fn passkey(id: &str) -> Self {
        Self { passkey: Some(id.to_owned()), oidc: None }
    }

    /// An account at the OpenID provider.
    pub(crate) fn account(account: &OidcAccount) -> Self {
        Self { passkey: None, oidc: Some(account.clone()) }
    }
}
