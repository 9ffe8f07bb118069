//! The errors of a step.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use berth_plan::render::Kind;

use berth_wire::Retry;

use crate::error::EngineError;
use crate::host::{HostError, PlaneError};

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum StepError {
    /// The engine refused, or could not be reached.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file or a program of the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The user plane can't be looked at or changed.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// Somebody else has an object of that name.
    #[error("cannot {act}: it is there and {why}")]
    NotOurs { act: String, why: &'static str },
    /// The engine has no such image.
    #[error("the engine has no image {image}: make it (`berth image build`) or pull it")]
    NoImage { image: String },
    /// The host has no such address.
    #[error(
        "this host has no address {address}: give it that address, or change `web.address` or `ssh.address` in platform.toml"
    )]
    NoAddress {
        address: Ipv4Addr,
        #[source]
        source: io::Error,
    },
    /// The plan contradicts itself, which is a mistake of the planner's.
    #[error("cannot {act}: {why}")]
    Planned { act: String, why: &'static str },
    /// SSH keys are not in place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A program is not in force.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Links could not be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A configuration is not in force.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
}

impl StepError {
    /// Returns when to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Engine(error) => error.retry(),
            // A plan that is made anew is made for the keys that there are.
            Self::Place(PlaceError::Other { .. }) | Self::Program(ProgramError::Other { .. }) => Retry::SOON,
            // It may come with an interface that isn't up yet.
            Self::NoAddress { .. } => Retry::SOON,
            Self::Host(_) | Self::Plane(_) | Self::Link(_) => Retry::SOON,
            // Each try of a configuration that doesn't pass is felt by somebody for a moment.
            Self::NotOurs { .. } | Self::NoImage { .. } | Self::Configure(_) | Self::Program(_) => {
                Retry::OnChange
            }
            Self::Planned { .. } | Self::Place(PlaceError::Key { .. }) => Retry::Terminal,
        }
    }
}

/// SSH keys that can't be put in place.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum PlaceError {
    /// The plan was made for another identity than the one that is here.
    #[error(
        "the SSH keys for volume {volume} are not those that were planned: the platform's identity has changed since"
    )]
    Other { volume: String },
    /// A key has no written form.
    #[error("cannot write the SSH keys for volume {volume}")]
    Key {
        volume: String,
        #[source]
        source: ssh_key::Error,
    },
}

/// A build of a program that is not in force.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProgramError {
    /// The plan was made for another build than the one that is here.
    #[error("{path} is not the build that was planned: it has been replaced since")]
    Other { path: String },
    /// The build doesn't run in its container. Nothing was changed.
    #[error("the new {program} doesn't run in its container, and the one before goes on: {said}")]
    Refused { program: &'static str, said: String },
    /// The build was started, and doesn't do its work.
    #[error("the new {program} did not take over: {said}. {after}")]
    NotInForce { program: &'static str, said: String, after: After },
}

/// Links that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no plane to link to.
    #[error("cannot link to the user plane of {0}: its holder has ended")]
    NoPlane(String),
    /// Some links failed.
    #[error("cannot make {failed} of {all} links: {}", first.join("; "))]
    #[expect(missing_docs, reason = "the message says it")]
    Some { failed: usize, all: usize, first: Vec<String> },
}

/// A configuration that is not in force.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ConfigureError {
    /// The program that reads it found a mistake in it. Nothing was changed.
    #[error("the new configuration is refused, and the last one stays in force: {said}")]
    Refused { said: String },
    /// The last confirmed configuration could not be loaded again.
    #[error("cannot load the last confirmed {kind} configuration again: {said}")]
    NotReloaded { kind: Kind, said: String },
    /// It could not be loaded.
    #[error("cannot load the new configuration: {said}. {after}")]
    NotLoaded { said: String, after: After },
    /// It was loaded, and then something that must work didn't.
    #[error("the new configuration was loaded and did not pass: {}. {after}", failures.join("; "))]
    NotConfirmed { failures: Vec<String>, after: After },
}

/// The configuration or the program in force after a new one failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The last one that was confirmed.
    Restored,
    /// There was none before.
    NothingBefore,
    /// The last one could not be loaded again.
    NotRestored(String),
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored => f.write_str("The last one is in force again"),
            Self::NothingBefore => f.write_str("There was none before that could be put back"),
            Self::NotRestored(why) => write!(f, "The last one could not be put back either: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_plan::step::ContainerRef;

    use super::*;
    use crate::apply::writer::Made;

    /// It was an engine's 404 once, which is "already gone" to whoever removes something.
    #[test]
    fn a_mistake_of_the_planner_s_is_nothing_that_an_engine_said() {
        let nobody = ContainerRef { id: None, name: "shop".to_owned() };
        let error = Made::default().id(&nobody).map(|_| ()).unwrap_err();
        assert!(matches!(error, StepError::Planned { .. }), "{error}");
        assert_eq!(error.retry(), Retry::Terminal);
        let told = "cannot find container shop: the plan names a container that none of its steps made";
        assert_eq!(error.to_string(), told);
    }
}
