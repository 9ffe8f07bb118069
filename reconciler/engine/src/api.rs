//! The engine's API: one connection, a deadline on every call, and errors that name the act.
//!
//! Owns the way in which Berth talks to the engine; `observe` reads and `apply` writes over it.

use std::future::Future;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Bollard;
use bollard::query_parameters::InspectContainerOptions;

use crate::error::{Cause, EngineError};
use crate::facts::Facts;

/// Deadline of a read. A list of thousands of containers answers in well under a second; an engine that needs
/// longer is stuck (moby 46661 blocks for good).
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(30);
/// Deadline of a change, apart from the time that a stop grants.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(120);

/// A connection to an engine, of which readers and writers are made.
#[derive(Debug, Clone)]
pub struct Connection {
    docker: Docker,
}

impl Connection {
    pub(crate) fn docker(&self) -> Docker {
        self.docker.clone()
    }
}

/// Connects to the engine at `address` (`unix://…`, or just the socket's path) and learns its settings.
pub async fn connect(address: &str) -> Result<(Connection, Facts), EngineError> {
    let failed = |source: Cause| EngineError::Connect { address: address.to_owned(), source };
    let seconds = WRITE_DEADLINE.as_secs();
    let path = address.strip_prefix("unix://").unwrap_or(address);
    if !path.starts_with('/') {
        return Err(EngineError::Address { address: address.to_owned() });
    }
    let docker = Docker::connect_with_unix(path, seconds, bollard::API_DEFAULT_VERSION)
        .map_err(|error| failed(error.into()))?;
    let docker = bounded("learn the engine's version", READ_DEADLINE, docker.negotiate_version())
        .await
        .map_err(|error| match error {
            EngineError::Broken { source, .. } => failed(source),
            other => other,
        })?;
    let facts = facts(&docker).await?;
    Ok((Connection { docker }, facts))
}

/// Learns the engine's settings of now. After a restart it may have others.
pub(crate) async fn facts(docker: &Docker) -> Result<Facts, EngineError> {
    let act = "learn the engine's settings";
    let info = bounded(act, READ_DEADLINE, docker.info()).await?;
    let info = serde_json::to_value(info).map_err(|error| EngineError::from_call(act, error.into()))?;
    Ok(Facts::read(&info))
}

/// Returns the first process of a container; `None` when it doesn't run. It is good for a moment only: process ids return.
pub(crate) async fn first_process(docker: &Docker, id: &str, name: &str) -> Result<Option<u32>, EngineError> {
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
pub(crate) async fn bounded<T>(
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
