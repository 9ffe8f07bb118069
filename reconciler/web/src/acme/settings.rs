//! Settings of the orders, from `[acme]` and `[panel]`.

use std::path::PathBuf;

use berth_ca::Pace;
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
