//! The error of a look.

use berth_fault::{Fault, Kind};
use berth_wire::Retry;

use crate::error::EngineError;
use crate::host::{HostError, PlaneError};

/// A look that failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[expect(missing_docs, reason = "each is named by whom it is about")]
pub enum ObserveError {
    Engine(#[from] EngineError),
    Host(#[from] HostError),
    Plane(#[from] PlaneError),
}

impl ObserveError {
    /// Returns when to look again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Engine(error) => error.retry(),
            Self::Host(_) | Self::Plane(_) => Retry::SOON,
        }
    }
}

impl Fault for ObserveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Engine(error) => error.kind(),
            Self::Host(_) | Self::Plane(_) => Kind::Configuration,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Host(_) | Self::Plane(_) => None,
        }
    }
}
