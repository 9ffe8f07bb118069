//! Apply: how we change the engine. One step, one effect; nothing here chooses anything.

mod configure;
mod container;
mod host_rules;
mod identity;
mod link;
mod network;
mod own;
mod probe;
mod schedule;
mod volume;

use std::sync::Arc;
use std::time::Duration;

use berth_plan::Step;
use bollard::Docker;
use tokio::sync::Mutex;

use crate::docker::{EngineError, Retry};
use crate::engine::facts::Facts;
use crate::identity::Identity;

pub use configure::{After, ConfigureError};
pub use container::create_body;
pub use identity::PlaceError;
pub use link::LinkError;
pub use schedule::apply;

/// The engine, to be changed.
#[derive(Debug, Clone)]
pub struct Writer {
    docker: Docker,
    identity: Identity,
    /// Held over every stop and removal on an engine that may not do two at once.
    one_at_a_time: Option<Arc<Mutex<()>>>,
}

/// What a step made, for the later steps of the same change.
#[derive(Debug, Default)]
struct Made {
    container: Option<String>,
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The engine refused, or could not be reached.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// SSH keys are not in place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Links could not be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A configuration is not in force.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
}

impl StepError {
    /// What to do about it.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Engine(error) | Self::Place(PlaceError::Engine(error)) => error.retry(),
            // A plan that is made anew is made for the keys that there are.
            Self::Place(PlaceError::Other { .. }) => Retry::After(Duration::from_secs(1)),
            Self::Place(PlaceError::Key { .. }) => Retry::WaitForChange,
            Self::Link(_) => Retry::After(Duration::from_secs(1)),
            // Each try of one that doesn't pass is felt by somebody for a moment.
            Self::Configure(_) => Retry::WaitForChange,
        }
    }
}

impl Writer {
    /// A writer to the engine behind `docker`, which has the keys of `identity` to place.
    pub fn new(docker: Docker, facts: &Facts, identity: Identity) -> Self {
        let one_at_a_time = facts.removes_one_at_a_time().then(|| Arc::new(Mutex::new(())));
        Self { docker, identity, one_at_a_time }
    }

    /// Does one step. A step that finds its effect already there succeeds.
    async fn perform(&self, step: &Step, made: &mut Made) -> Result<(), StepError> {
        match step {
            Step::Connect { plane, links } => return self.connect(plane, links, made).await,
            Step::Configure(spec) => return self.configure(spec).await,
            Step::PlaceIdentity(spec) => return Ok(self.place_identity(spec).await?),
            Step::Reload { kind, container } => return self.reload(*kind, container).await,
            Step::WithdrawHostRules { platform } => return host_rules::withdraw(platform).await,
            Step::CreateNetwork(spec) => self.create_network(spec).await,
            Step::RemoveNetwork { name, id } => self.remove_network(name, id).await,
            Step::CreateVolume(spec) => self.create_volume(spec).await,
            Step::RemoveVolume { name } => self.remove_volume(name).await,
            Step::RequireImage { image } => self.require_image(image).await,
            Step::CreateContainer(spec) => {
                made.container = Some(self.create_container(spec).await?);
                Ok(())
            }
            Step::StartContainer(container) => self.start(made.id(container)?).await,
            Step::UnpauseContainer(container) => self.unpause(made.id(container)?).await,
            Step::StopContainer { container, timeout } => self.stop(made.id(container)?, *timeout).await,
            Step::UpdateLimits { container, limits } => self.update(made.id(container)?, limits).await,
            Step::RemoveContainer(container) => self.remove(made.id(container)?).await,
        }
        .map_err(StepError::Engine)
    }
}

impl Made {
    /// The engine's id of the container that a step is about. Never the name alone: between plan and step somebody
    /// else's container could have taken it.
    fn id<'a>(&'a self, container: &'a berth_plan::step::ContainerRef) -> Result<Target<'a>, EngineError> {
        let id = container.id.as_deref().or(self.container.as_deref());
        match id {
            Some(id) => Ok(Target { id, name: &container.name }),
            None => Err(EngineError::Refused {
                act: format!("find container {}", container.name),
                status: 404,
                message: "the plan names a container that none of its steps made".to_owned(),
            }),
        }
    }
}

/// A container by its id, with its name for people.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    id: &'a str,
    name: &'a str,
}
