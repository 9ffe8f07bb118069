//! The engine's API: one connection, a deadline on every call, and errors that name the act.
//!
//! Owns how we talk to the engine; what we read lives in `observe`, what we change in `apply`.

use std::future::Future;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Bollard;
use bollard::query_parameters::InspectContainerOptions;

use crate::engine::facts::Facts;

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
    /// The address is no unix socket.
    #[error("Berth reaches the engine over a unix socket only, and `{address}` isn't one")]
    Address {
        /// What was given.
        address: String,
    },
    /// The engine that was there has gone.
    #[error("{act}: the Docker engine is not running")]
    Down {
        /// What was being done.
        act: String,
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
    /// Something on the host beside the engine could not be read or written.
    #[error("{act}")]
    Host {
        /// What was being done.
        act: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The user plane could not be looked at or changed.
    #[error("{act}")]
    Plane {
        /// What was being done.
        act: String,
        /// Why it failed.
        #[source]
        source: berth_link::Error,
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
    pub(crate) fn from_call(act: &str, source: Bollard) -> Self {
        match source {
            Bollard::DockerResponseServerError { status_code, message } => {
                Self::Refused { act: act.to_owned(), status: status_code, message }
            }
            Bollard::HyperLegacyError { err } if err.is_connect() => Self::Down { act: act.to_owned() },
            source => Self::Broken { act: act.to_owned(), source: Box::new(source) },
        }
    }

    /// Whether the engine says that the thing isn't there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// What to do about it.
    pub fn retry(&self) -> Retry {
        match self {
            // A bad request, a missing image, a name that is taken: nothing passes by waiting.
            Self::Refused { status: 400..=499, .. } => Retry::WaitForChange,
            Self::Address { .. } => Retry::WaitForChange,
            Self::Refused { .. }
            | Self::Host { .. }
            | Self::Plane { .. }
            | Self::Down { .. }
            | Self::Connect { .. }
            | Self::Deadline { .. }
            | Self::Broken { .. } => Retry::After(Duration::from_secs(1)),
        }
    }
}

/// Asks the engine who it is now. After a restart it may be another.
pub async fn facts(docker: &Docker) -> Result<Facts, EngineError> {
    let act = "ask the engine for its settings";
    let info = bounded(act, READ_DEADLINE, docker.info()).await?;
    let info = serde_json::to_value(info)
        .map_err(|err| EngineError::Broken { act: act.to_owned(), source: Box::new(Bollard::from(err)) })?;
    Ok(Facts::read(&info))
}

/// Connects to the engine at `address` (`unix://…`, or just the socket's path) and asks who it is.
pub async fn connect(address: &str) -> Result<(Docker, Facts), EngineError> {
    let failed = |source| EngineError::Connect { address: address.to_owned(), source: Box::new(source) };
    let seconds = WRITE_DEADLINE.as_secs();
    let path = address.strip_prefix("unix://").unwrap_or(address);
    if !path.starts_with('/') {
        return Err(EngineError::Address { address: address.to_owned() });
    }
    let docker = Docker::connect_with_unix(path, seconds, bollard::API_DEFAULT_VERSION).map_err(failed)?;
    let docker = bounded("ask for the engine's version", READ_DEADLINE, docker.negotiate_version())
        .await
        .map_err(|error| match error {
            EngineError::Broken { source, .. } => failed(*source),
            other => other,
        })?;
    let facts = facts(&docker).await?;
    Ok((docker, facts))
}

/// The first process of a container; `None` when it doesn't run. Good for a moment only: ids of processes return.
pub async fn first_process(docker: &Docker, id: &str, name: &str) -> Result<Option<u32>, EngineError> {
    let call = docker.inspect_container(id, None::<InspectContainerOptions>);
    match bounded(&format!("inspect container {name}"), READ_DEADLINE, call).await {
        Ok(answer) => {
            let pid = answer.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
            Ok(pid.filter(|pid| *pid > 0))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
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
