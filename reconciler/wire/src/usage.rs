//! Usage: figures of the image cache, as its programs tell them. Nothing is decided by them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything that is known of the image cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheFigures {
    /// Size and hits; `None` while they can't be read.
    pub usage: Option<Usage>,
    /// Docker Hub's limit as it last told it; `None` where there is none, or it wasn't asked yet.
    pub rate_limit: Option<RateLimit>,
    /// Reason that something can't be read.
    pub trouble: Option<String>,
}

/// Use of the cache. Hits and misses count from the registry's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes that it stores.
    pub bytes: u64,
    /// Requests that it answered by itself.
    pub hits: u64,
    /// Requests for which it asked its upstream.
    pub misses: u64,
}

/// Pulls that Docker Hub allows this address (its headers `ratelimit-limit` and `ratelimit-remaining`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Pulls in a window; `None` when there is no limit.
    pub limit: Option<u64>,
    /// Pulls that are left.
    pub remaining: Option<u64>,
    /// The window in seconds.
    pub window_seconds: Option<u64>,
    /// When it was asked.
    #[serde(default)]
    pub at: Timestamp,
}
