//! Containers, from the engine's list alone.

use berth_plan::label::Tag;
use berth_plan::observed::{ObservedContainer, RunState};
use berth_schema::name::Prefix;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;

impl Reader {
    /// Lists every container, foreign ones included, so that the planner sees a name that is taken.
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
        state: run_state(&summary.state.map(|state| state.to_string()).unwrap_or_default()),
        image: summary.image.unwrap_or_default(),
        limits: None,
    })
}

/// Reads the engine's word for a container's state. The list and an inspection each have their own type for it.
pub(super) fn run_state(word: &str) -> RunState {
    match word {
        "created" => RunState::Created,
        "running" | "stopping" => RunState::Running,
        "restarting" => RunState::Restarting,
        "paused" => RunState::Paused,
        "removing" => RunState::Removing,
        "dead" => RunState::Dead,
        _ => RunState::Exited,
    }
}
