//! The engine's error: what an engine said, or that it said nothing.

use std::time::Duration;

use berth_fault::{Fault, Kind};
use berth_wire::Retry;
use bollard::errors::Error as Bollard;

/// The cause of a failure, in the words of the library that speaks with the engine.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A call to the engine that failed. It says what the engine said, or that it said nothing; other failures have errors
/// of their own.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum EngineError {
    /// No connection could be made.
    #[error("no Docker engine answers at {address}")]
    Connect {
        address: String,
        #[source]
        source: Cause,
    },
    /// The address is no unix socket.
    #[error("Berth reaches the engine over a unix socket only, and `{address}` isn't one")]
    Address { address: String },
    /// The engine that was there has gone.
    #[error("cannot {act}: the Docker engine is not running")]
    Down { act: String },
    /// The engine accepted the call and stayed silent.
    #[error("cannot {act}: the engine gave no answer within {} s", after.as_secs())]
    Deadline { act: String, after: Duration },
    /// The engine said no.
    #[error("cannot {act}: {message}")]
    Refused { act: String, status: u16, message: String },
    /// The engine passed on only a part of what a program says.
    #[error("cannot {act}: {why}")]
    CutOff { act: String, why: &'static str },
    /// The connection broke, or the answer made no sense.
    #[error("cannot {act}")]
    Broken {
        act: String,
        #[source]
        source: Cause,
    },
}

impl EngineError {
    pub(crate) fn from_call(act: &str, source: Bollard) -> Self {
        match source {
            Bollard::DockerResponseServerError { status_code, message } => {
                Self::Refused { act: act.to_owned(), status: status_code, message }
            }
            Bollard::HyperLegacyError { err } if err.is_connect() => Self::Down { act: act.to_owned() },
            source => Self::Broken { act: act.to_owned(), source: Box::new(source) },
        }
    }

    /// Returns whether the engine says that it has no such thing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Returns when to try again.
    pub fn retry(&self) -> Retry {
        match self {
            // A bad request, a missing image, a name that is taken: nothing passes by waiting.
            Self::Refused { status: 400..=499, .. } | Self::Address { .. } => Retry::OnChange,
            Self::Refused { .. }
            | Self::Down { .. }
            | Self::Connect { .. }
            | Self::Deadline { .. }
            | Self::CutOff { .. }
            | Self::Broken { .. } => Retry::SOON,
        }
    }
}

impl Fault for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::Address { .. } => Kind::Configuration,
            _ => Kind::Engine,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Connect { .. } => {
                Some("start the engine (systemctl start docker), or say where it is with --docker")
            }
            Self::Address { .. } => Some("unset DOCKER_HOST, or say --docker unix:///var/run/docker.sock"),
            Self::Deadline { .. } => {
                Some("the engine may be stuck: `docker network ls` hangs then; restart it")
            }
            Self::Down { .. } | Self::Refused { .. } | Self::CutOff { .. } | Self::Broken { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status_code: u16) -> EngineError {
        let message = "no".to_owned();
        EngineError::from_call("do it", Bollard::DockerResponseServerError { status_code, message })
    }

    #[test]
    fn a_refusal_waits_for_a_change_and_silence_for_a_moment() {
        assert_eq!(refused(404).retry(), Retry::OnChange);
        assert_eq!(refused(500).retry(), Retry::SOON);
        let silent = EngineError::Deadline { act: "do it".to_owned(), after: Duration::from_secs(30) };
        assert_eq!(silent.retry(), Retry::SOON);
        assert!(refused(404).is_missing() && !refused(409).is_missing() && !silent.is_missing());
        assert_eq!(refused(500).to_string(), "cannot do it: no");
    }
}
