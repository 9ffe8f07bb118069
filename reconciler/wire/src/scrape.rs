//! Scrapers: where they are answered, as the reconciler tells the process that answers them.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Name of the reconciler's socket for metrics, in a folder of its own.
pub const METRICS_SOCKET: &str = "metrics.sock";

/// Place where scrapers are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeAddress {
    /// The address; `None` where `platform.toml` names none.
    pub listen: Option<SocketAddr>,
}
