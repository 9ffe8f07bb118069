//! Power: what somebody does to a running server without a commit. The door judges who may; the reconciler does it.

use berth_plan::{Subject, subject};
use berth_schema::name::{ServerId, UserName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::Ended;
use crate::web::Act;

/// Order to do something to a running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerOrder {
    /// The server.
    pub server: ServerId,
    /// Act on the server.
    pub act: Act,
    /// User who asks, for the journal.
    pub by: UserName,
}

/// Outcome of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerRecord {
    /// When it ended.
    pub at: Timestamp,
    /// The server.
    #[serde(with = "subject::text")]
    pub subject: Subject,
    /// Act on the server.
    pub act: Act,
    /// User who asked.
    pub by: UserName,
    /// The end that it came to.
    pub result: Ended,
    /// Milliseconds that it took.
    pub millis: u64,
}
