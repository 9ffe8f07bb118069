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
    #[error("cannot reach the server: {}", unreached(.0))]
    Unreached(#[source] UpstreamError),
    #[error("the server refuses to run anything; try again, and restart it if that lasts")]
    Refused,
    // The door says the same: either may notice first.
    #[error("you may no longer log in to this server; ask its owner")]
    Revoked,
    #[error("the server ended the connection; open this again in a moment")]
    Server,
    #[error("it took too long, so it was ended; try again")]
    TooLong,
    #[error("more output waits than the router can hold; open this again")]
    Overflow,
    #[error("the SSH router stops; open this again in a moment")]
    Stopped,
    /// Told to nobody.
    #[error("the person left")]
    Left,
    #[error(
        "the panel asked for something that makes no sense; ask an admin whether it is of the same release"
    )]
    Opening(#[source] io::Error),
}

/// Reason why a server can't be reached, and what to do next: where its people can do something, that.
fn unreached(error: &UpstreamError) -> String {
    match error.next_step() {
        Some(_) => format!("{error}; try again in a moment, and restart it if that lasts"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_reads_what_to_do_next() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let all = [
            Over::Door(broken()),
            Over::Forbidden,
            Over::Busy,
            Over::Unreached(UpstreamError::Timeout),
            Over::Unreached(UpstreamError::HostKey),
            Over::Unreached(UpstreamError::Gone),
            Over::Refused,
            Over::Revoked,
            Over::Server,
            Over::TooLong,
            Over::Overflow,
            Over::Stopped,
            Over::Opening(broken()),
        ];
        for over in all {
            let words = over.to_string();
            // Once: two next steps are none.
            let next = words.split_once("; ").map_or("", |(_, next)| next);
            assert!(!next.contains("; "), "{words}");
            let begins = ["try again", "ask ", "open this again", "close one"];
            assert!(begins.iter().any(|begin| next.starts_with(begin)), "{words}");
        }
    }
}
