//! The engine's API: one connection, a deadline on every call, and errors that name the act.
//!
//! Owns how we talk to the engine; what we read lives in `observe`, what we change in `apply`.

use std::future::Future;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Bollard;

/// How long a read may take. A list of thousands of containers answers in well under a second; an engine that needs
/// longer is stuck (moby 46661 blocks for good).
pub const READ_DEADLINE: Duration = Duration::from_secs(30);
/// How long a change may take, apart from the time that a stop grants.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(120);

/// A call to the engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No connection could be made.
    #[error("no Docker engine answers at {address}")]
    Connect {
        /// Where it was sought.
        address: String,
        /// Why there is none.
        #[source]
        source: Box<Bollard>,
    },
    /// The engine accepted the call and stayed silent.
    #[error("{act}: the engine gave no answer within {} s", after.as_secs())]
    Deadline {
        /// What was being done.
        act: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The engine said no.
    #[error("{act}: {message}")]
    Refused {
        /// What was being done.
        act: String,
        /// The HTTP status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// The connection broke, or the answer made no sense.
    #[error("{act}")]
    Broken {
        /// What was being done.
        act: String,
        /// What broke.
        #[source]
        source: Box<Bollard>,
    },
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again can't help until the state or the host changes, yet costs little: try rarely.
    WaitForChange,
    /// It may pass by itself.
    After(Duration),
}

impl EngineError {
    fn from_call(act: &str, source: Bollard) -> Self {
        match source {
            Bollard::DockerResponseServerError { status_code, message } => {
                Self::Refused { act: act.to_owned(), status: status_code, message }
            }
            source => Self::Broken { act: act.to_owned(), source: Box::new(source) },
        }
    }

    /// Whether the engine says that the thing isn't there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the engine says that the thing is there already, or is already as asked.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// What to do about it.
    pub fn retry(&self) -> Retry {
        match self {
            // A bad request, a missing image, a name that is taken: nothing passes by waiting.
            Self::Refused { status: 400..=499, .. } => Retry::WaitForChange,
            Self::Refused { .. } | Self::Connect { .. } | Self::Deadline { .. } | Self::Broken { .. } => {
                Retry::After(Duration::from_secs(1))
            }
        }
    }
}

/// What the engine is, as far as it changes what we do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// Removing and stopping side by side can block it for good (moby 46661, fixed in 23).
    pub serial_removal: bool,
}

/// Connects to the engine at `address` (`unix://…`, or `tcp://…` for a proxy in a test) and asks who it is.
pub async fn connect(address: &str) -> Result<(Docker, EngineFacts), EngineError> {
    let failed = |source| EngineError::Connect { address: address.to_owned(), source: Box::new(source) };
    let seconds = WRITE_DEADLINE.as_secs();
    let docker = match address.strip_prefix("unix://") {
        Some(path) => Docker::connect_with_unix(path, seconds, bollard::API_DEFAULT_VERSION),
        None => Docker::connect_with_host(address),
    }
    .map_err(failed)?;
    let docker = bounded("ask for the engine's version", READ_DEADLINE, docker.negotiate_version())
        .await
        .map_err(|error| match error {
            EngineError::Broken { source, .. } => failed(*source),
            other => other,
        })?;
    let version = bounded("ask for the engine's version", READ_DEADLINE, docker.version()).await?;
    let version = version.version.unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    // An engine that doesn't say how old it is gets the careful treatment.
    let serial_removal = major.is_none_or(|major| major < 23);
    Ok((docker, EngineFacts { version, serial_removal }))
}

/// Runs a call under a deadline and names it in its error.
pub async fn bounded<T>(
    act: &str,
    deadline: Duration,
    call: impl Future<Output = Result<T, Bollard>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(value)) => Ok(value),
        // bollard's own timeout is the same fact as ours.
        Ok(Err(Bollard::RequestTimeoutError)) | Err(_) => {
            Err(EngineError::Deadline { act: act.to_owned(), after: deadline })
        }
        Ok(Err(source)) => Err(EngineError::from_call(act, source)),
    }
}
