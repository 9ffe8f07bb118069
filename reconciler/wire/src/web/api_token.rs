//! Questions about API tokens: what programs show in a member's place.

use std::net::IpAddr;

use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Done, Needs, Scope, Secret, questions};

questions! {
    ApiTokens, "/api-tokens", Known => Vec<ApiTokenCard>, needs Needs::Scope(Scope::Read);
    MakeApiToken, "/api-token-make", Known => ApiTokenMade;
    EndApiToken, "/api-token-end", Known => Done, needs Needs::Scope(Scope::Account);
}

/// Asks for somebody's API tokens, those that have run out, too.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ApiTokens {
    /// Whose: anybody's for an admin; `None` for one's own.
    #[serde(default)]
    pub user: Option<UserName>,
}

/// An API token in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiTokenCard {
    /// Name of it in addresses, which is no secret.
    pub id: String,
    /// Name that its owner gave it.
    pub name: String,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// Time of its making.
    pub made: Timestamp,
    /// End of it.
    pub until: Timestamp,
    /// Set once that has come.
    pub is_over: bool,
}

/// Makes an API token by a commit of the person's own. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MakeApiToken {
    /// Name for it.
    pub name: String,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// Days until it ends.
    pub days: u32,
    /// Source of the question.
    pub from: IpAddr,
}

/// An API token that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiTokenMade {
    /// Its text, which is never shown again.
    pub token: Secret,
    /// Its entry in a list.
    pub card: ApiTokenCard,
}

/// Ends an API token by a commit. Somebody else's needs an admin with a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndApiToken {
    /// Whose; `None` for one's own.
    #[serde(default)]
    pub user: Option<UserName>,
    /// [`ApiTokenCard::id`]
    pub id: String,
}
