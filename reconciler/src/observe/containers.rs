//! Containers, from the engine's list alone.

use berth_plan::label::Tag;
use berth_plan::observed::{ObservedContainer, RunState};
use berth_schema::name::Prefix;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::Reader;
use crate::docker::{EngineError, READ_DEADLINE, bounded};

impl Reader {
    /// Every container, foreign ones included, so that the planner sees a name that is taken.
    pub(super) async fn containers(&self, platform: &Prefix) -> Result<Vec<ObservedContainer>, EngineError> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let list =
            bounded("list containers", READ_DEADLINE, self.docker.list_containers(Some(options))).await?;
        Ok(list.into_iter().filter_map(|summary| read(summary, platform)).collect())
    }
}

fn read(summary: ContainerSummary, platform: &Prefix) -> Option<ObservedContainer> {
    let name = summary.names.unwrap_or_default().into_iter().find_map(|name| {
        // A link shows up as a second name with another slash in it; the container's own has only the leading one.
        name.strip_prefix('/').filter(|rest| !rest.contains('/')).map(str::to_owned)
    })?;
    Some(ObservedContainer {
        id: summary.id?,
        name,
        tag: Tag::read(&summary.labels.unwrap_or_default(), platform),
        state: run_state(summary.state),
        limits: None,
    })
}

fn run_state(state: Option<ContainerSummaryStateEnum>) -> RunState {
    use ContainerSummaryStateEnum as Engine;
    match state {
        Some(Engine::CREATED) => RunState::Created,
        Some(Engine::RUNNING | Engine::STOPPING) => RunState::Running,
        Some(Engine::RESTARTING) => RunState::Restarting,
        Some(Engine::PAUSED) => RunState::Paused,
        Some(Engine::REMOVING) => RunState::Removing,
        Some(Engine::DEAD) => RunState::Dead,
        Some(Engine::EXITED | Engine::EMPTY) | None => RunState::Exited,
    }
}
