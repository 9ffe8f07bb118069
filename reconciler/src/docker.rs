//! The engine's API: one connection, a deadline on every call, and errors that name the act.
//!
//! Owns how we talk to the engine; what we read lives in `observe`, what we change in `apply`.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use berth_plan::spec::Confinement;
use berth_schema::platform::Isolation;

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
    /// The address is no unix socket.
    #[error("Berth reaches the engine over a unix socket only, and `{address}` isn't one")]
    Address {
        /// What was given.
        address: String,
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
            Self::Address { .. } => Retry::WaitForChange,
            Self::Refused { .. } | Self::Connect { .. } | Self::Deadline { .. } | Self::Broken { .. } => {
                Retry::After(Duration::from_secs(1))
            }
        }
    }
}

/// What the engine is, as far as it changes what we do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// Removing and stopping side by side can block it for good (moby 46661, fixed in 23).
    pub serial_removal: bool,
    /// Root in a container is nobody on the host.
    pub maps_users: bool,
    /// The OCI runtimes that it knows.
    pub runtimes: BTreeSet<String>,
}

/// An engine on which servers would not be isolated as the state repo says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No user namespace.
    #[error(
        "the engine does not map users, so root in a server would be root on this host: run `berth engine setup`"
    )]
    NoUserMapping,
    /// The images' files belong to the mapped root, so a server without a mapping would find none of its own.
    #[error(
        "the engine maps users, and `isolation = \"capabilities\"` can't: take `userns-remap` out of its settings, or \
         choose `userns`"
    )]
    MapsUsers,
    /// A runtime is missing.
    #[error("the engine does not know the runtime `{runtime}`: run `berth engine setup`")]
    NoRuntime {
        /// Its name.
        runtime: String,
    },
}

impl EngineFacts {
    /// Asks the engine who it is now. After a restart it may be another.
    pub async fn ask(docker: &Docker) -> Result<Self, EngineError> {
        let info = bounded("ask the engine for its settings", READ_DEADLINE, docker.info()).await?;
        let version = info.server_version.unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        Ok(Self {
            // An engine that doesn't say how old it is gets the careful treatment.
            serial_removal: major.is_none_or(|major| major < 23),
            version,
            maps_users: info
                .security_options
                .unwrap_or_default()
                .iter()
                .any(|option| option == "name=userns"),
            runtimes: info.runtimes.unwrap_or_default().into_keys().collect(),
        })
    }

    /// Whether servers would be isolated as asked. Fails closed: without a user namespace nothing is started.
    pub fn suits(&self, isolation: Isolation, confinement: &Confinement) -> Result<(), Unfit> {
        if isolation == Isolation::Userns && !self.maps_users {
            return Err(Unfit::NoUserMapping);
        }
        if isolation == Isolation::Capabilities && self.maps_users {
            return Err(Unfit::MapsUsers);
        }
        match &confinement.runtime {
            Some(runtime) if !self.runtimes.contains(runtime) => {
                Err(Unfit::NoRuntime { runtime: runtime.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Connects to the engine at `address` (`unix://…`, or just the socket's path) and asks who it is.
pub async fn connect(address: &str) -> Result<(Docker, EngineFacts), EngineError> {
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
    let facts = EngineFacts::ask(&docker).await?;
    Ok((docker, facts))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(maps_users: bool, runtime: &str) -> EngineFacts {
        EngineFacts { maps_users, runtimes: BTreeSet::from([runtime.to_owned()]), ..EngineFacts::default() }
    }

    #[test]
    fn without_a_user_namespace_nothing_is_started() {
        let confinement = Confinement { runtime: Some("berth".to_owned()), ..Confinement::default() };
        assert_eq!(facts(true, "berth").suits(Isolation::Userns, &confinement), Ok(()));
        assert_eq!(facts(false, "berth").suits(Isolation::Userns, &confinement), Err(Unfit::NoUserMapping));
        let unknown = Err(Unfit::NoRuntime { runtime: "berth".to_owned() });
        assert_eq!(facts(true, "runc").suits(Isolation::Userns, &confinement), unknown);
        assert_eq!(facts(false, "berth").suits(Isolation::Capabilities, &confinement), Ok(()));
        assert_eq!(facts(true, "berth").suits(Isolation::Capabilities, &confinement), Err(Unfit::MapsUsers));
    }
}
