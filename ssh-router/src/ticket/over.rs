//! Ends of an act that aren't its own.

use std::io;

use crate::upstream::UpstreamError;

/// Reasons why an act is refused or broken off. The person reads them.
#[derive(Debug, thiserror::Error)]
pub(super) enum Over {
    #[error("the platform's control plane doesn't answer; try again in a moment")]
    Door(#[source] io::Error),
    /// The door's own sentence.
    #[error("{0}")]
    Lease(String),
    #[error("you may not log in to this server, or a change isn't in force yet; try again in a moment")]
    Forbidden,
    #[error("too many terminals and logs are open; close one, or try again in a moment")]
    Busy,
    #[error("cannot reach the server: {0}")]
    Unreached(#[source] UpstreamError),
    #[error("the server refuses to run anything")]
    Refused,
    // The door says the same: either may notice first.
    #[error("you may no longer log in to this server")]
    Revoked,
    #[error("the server ended the connection")]
    Server,
    #[error("it took too long")]
    TooLong,
    #[error("more output waits than the router can hold")]
    Overflow,
    #[error("the SSH router stops")]
    Stopped,
    /// Told to nobody.
    #[error("the person left")]
    Left,
    #[error("the panel asked for something that makes no sense; is it of the same release?")]
    Opening(#[source] io::Error),
}
