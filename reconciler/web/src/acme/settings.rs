//! Settings of the orders, from `[acme]` and `[panel]`.

use std::path::PathBuf;
use std::time::Duration;

use berth_wire::certificate::Proof;

/// Settings of the orders.
#[derive(Debug, Clone)]
pub struct Acme {
    /// URL of the CA's directory.
    pub directory: String,
    /// Address that the CA may write to.
    pub email: Option<String>,
    /// Roots of the server behind the directory, in PEM; `None` for those that the system knows.
    pub roots: Option<String>,
    /// Proof that the panel can give.
    pub proof: Proof,
    /// File of the account's key, where Berth keeps the account.
    pub account: Option<PathBuf>,
    /// File of the certificate that Berth itself has ordered, where it does (`proof` is DNS-01).
    pub given: PathBuf,
    /// Deadlines and waits.
    pub pace: Pace,
}

/// Deadlines and waits of the orders.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time for the CA to answer a request.
    pub request: Duration,
    /// Time for a whole order.
    pub order: Duration,
    /// Wait after the first order that failed. The next are twice as long each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// The shortest wait after the CA said that there were too many orders.
    pub limited: Duration,
    /// Time between two looks whether an order is due.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            request: Duration::from_secs(30),
            order: minutes(5),
            // Let's Encrypt allows five failed proofs of a name an hour.
            first: minutes(2),
            longest: minutes(4 * 60),
            limited: minutes(60),
            look: Duration::from_secs(10),
        }
    }
}
