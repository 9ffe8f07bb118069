//! Retry: when something that failed is worth another try.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time at which to try again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// Never by itself: it is a mistake of Berth's, and the same try fails in the same way.
    Terminal,
    /// After this time, since it may pass by itself.
    After(Duration),
    /// Once the state or the host has changed. Nobody tells of every such change, so it is tried rarely.
    #[default]
    OnChange,
}

impl Retry {
    /// A second from now.
    pub const SOON: Self = Self::After(Duration::from_secs(1));
}
