//! The limits in force, which the engine's list doesn't tell.
//!
//! One inspection per container, then remembered: limits change only by an `update`, and that makes an event, upon
//! which the container is forgotten. What happened while nobody listened is caught by forgetting everything.

use std::collections::{HashMap, HashSet};

use berth_plan::observed::ObservedContainer;
use berth_plan::step::ContainerRef;
use berth_plan::{Plan, Step};
use berth_schema::server::Limits;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Reader;
use crate::docker::{EngineError, READ_DEADLINE, bounded};

/// Inspections at a time: more gain nothing on an engine that serialises them.
const WIDTH: usize = 8;

/// The limits of containers that were inspected, by the engine's id.
#[derive(Debug, Default)]
pub struct LimitsCache {
    known: HashMap<String, Limits>,
}

impl LimitsCache {
    /// Forgets one container, since it was changed.
    pub fn forget(&mut self, id: &str) {
        self.known.remove(id);
    }

    /// Forgets everything, since events were missed.
    pub fn forget_all(&mut self) {
        self.known.clear();
    }

    /// Forgets the containers whose limits a plan changes.
    pub fn forget_touched(&mut self, plan: &Plan) {
        for step in plan.changes().flat_map(|change| &change.steps) {
            if let Step::UpdateLimits { container: ContainerRef { id: Some(id), .. }, .. } = step {
                self.known.remove(id);
            }
        }
    }

    /// Fills in the limits of our containers, and inspects those that aren't known yet.
    pub(super) async fn fill(
        &mut self,
        reader: &Reader,
        containers: &mut [ObservedContainer],
    ) -> Result<(), EngineError> {
        let ours: HashSet<&str> =
            containers.iter().filter(|c| c.tag.is_some()).map(|c| c.id.as_str()).collect();
        self.known.retain(|id, _| ours.contains(id.as_str()));
        let unknown: Vec<String> =
            ours.iter().filter(|id| !self.known.contains_key(**id)).map(|id| (*id).to_owned()).collect();
        let inspected: Vec<(String, Option<Limits>)> = stream::iter(unknown)
            .map(|id| async move { reader.limits(&id).await.map(|limits| (id, limits)) })
            .buffer_unordered(WIDTH)
            .try_collect()
            .await?;
        self.known.extend(inspected.into_iter().filter_map(|(id, limits)| Some((id, limits?))));
        for container in containers.iter_mut().filter(|c| c.tag.is_some()) {
            container.limits = self.known.get(&container.id).copied();
        }
        Ok(())
    }
}

impl Reader {
    /// The limits of one container; `None` when it vanished since it was listed.
    async fn limits(&self, id: &str) -> Result<Option<Limits>, EngineError> {
        let call = self.docker.inspect_container(id, None::<InspectContainerOptions>);
        match bounded(&format!("inspect container {id}"), READ_DEADLINE, call).await {
            Ok(answer) => {
                let host = answer.host_config.unwrap_or_default();
                // The engine writes "no limit" as 0, as nothing or (for pids) as -1; all of them mean 0 here.
                let positive = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
                Ok(Some(Limits {
                    nano_cpus: positive(host.nano_cpus),
                    memory: positive(host.memory),
                    pids: positive(host.pids_limit).try_into().unwrap_or(u32::MAX),
                }))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
