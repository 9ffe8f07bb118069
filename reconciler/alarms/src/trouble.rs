//! Failures of deliveries, in words for whoever reads `berth alarms`. None has the URL in it, which is a secret.

use std::io;
use std::time::Duration;

use berth_ca::RootsError;
use berth_fault::{Fault, Kind};
use berth_secrets::SecretError;
use http::StatusCode;

/// A message that isn't delivered, or nobody knows.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AlarmError {
    #[error("platform.toml has no such target any more")]
    NoTarget,
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the server can't be checked")]
    Roots(#[source] RootsError),
    #[error("the URL can't be asked")]
    Url,
    #[error("cannot write the message")]
    Message(#[source] serde_json::Error),
    #[error("it can't be reached: {why}")]
    Unreachable { why: String },
    #[error("it answered {status}{said}")]
    Refused { status: StatusCode, said: String },
    #[error("nobody knows whether it has arrived: {why}")]
    Unknown { why: String },
    #[error("nobody knows whether it has arrived: it didn't answer within {} s", within.as_secs_f32())]
    Silent { within: Duration },
    #[error("it was being sent when Berth ended, so nobody knows whether it has arrived")]
    CutOff,
    #[error("the platform sends no mails")]
    NoMail,
    #[error("cannot put the mail into the spool")]
    Spool(#[source] io::Error),
}

impl AlarmError {
    /// Returns whether the target may have taken the message. Then it isn't sent again.
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Silent { .. } | Self::CutOff)
    }
}

impl Fault for AlarmError {
    fn kind(&self) -> Kind {
        Kind::Configuration
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => Some(
                "is the URL right, and does a firewall let this host out? A server with a CA of your own needs its root in `ca`",
            ),
            Self::Refused { .. } => Some(
                "check the URL, and for a chat the name of the `field`; `berth secret set` stores the URL anew",
            ),
            Self::NoMail => Some("name a mail server in `[mail]` (docs/operations.md)"),
            _ => None,
        }
    }
}
