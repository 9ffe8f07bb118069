//! Questions about where somebody is signed in.

use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Done, questions};

questions! {
    Sessions, "/sessions", Known => Vec<SessionCard>;
    EndSession, "/session-end", Known => Done;
    EndSessions, "/sessions-end", Admin => Done;
}

/// Asks where one is signed in, the place that was used last first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sessions {}

/// A place where somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCard {
    /// Name of it, which is no secret.
    pub id: String,
    /// When they signed in.
    pub made: Timestamp,
    /// When they last asked something.
    pub used: Timestamp,
    /// Network that they signed in from; empty where nobody knows any more.
    pub from: String,
    /// Browser in a few words; empty where nobody knows.
    pub browser: String,
    /// Name of the passkey that they signed in by.
    pub passkey: Option<String>,
    /// Name of the provider's host by which they signed in.
    #[serde(default)]
    pub provider: Option<String>,
    /// Set for the one that asks.
    pub is_here: bool,
}

/// Signs the person out at one place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndSession {
    /// [`SessionCard::id`]
    pub id: String,
}

/// Signs somebody out everywhere, as an admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndSessions {
    /// Their name.
    pub user: UserName,
}
