//! Inspections: what the engine's list doesn't tell, or tells too late.
//!
//! The list has no limits, and for some milliseconds after a container has ended it still calls it running (the engine
//! reports the end before it updates what it lists from). An inspection waits for the truth. So: one inspection for
//! each container that we don't know, then its limits are remembered; every event about a container makes us forget it.
//! What happened while nobody listened is caught by forgetting everything.

use std::collections::{HashMap, HashSet};

use berth_plan::observed::{ObservedContainer, RunState};
use berth_plan::step::ContainerRef;
use berth_plan::{Plan, Step};
use berth_schema::server::Limits;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Reader;
use super::containers::run_state;
use crate::docker::{EngineError, READ_DEADLINE, bounded};

/// Inspections at a time: more gain nothing on an engine that serialises them.
const WIDTH: usize = 8;

/// What inspections have told, by the engine's id.
#[derive(Debug, Clone, Default)]
pub struct Inspections {
    known: HashMap<String, Limits>,
}

impl Inspections {
    /// Forgets one container, since something happened to it.
    pub fn forget(&mut self, id: &str) {
        self.known.remove(id);
    }

    /// Forgets everything, since events were missed.
    pub fn forget_all(&mut self) {
        self.known.clear();
    }

    /// Forgets these containers, or all.
    pub fn forget_these<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>, all: bool) {
        if all {
            self.forget_all();
        }
        for id in ids {
            self.forget(id);
        }
    }

    /// Forgets the containers whose limits a plan changes.
    pub fn forget_touched(&mut self, plan: &Plan) {
        for step in plan.changes().flat_map(|change| &change.steps) {
            if let Step::UpdateLimits { container: ContainerRef { id: Some(id), .. }, .. } = step {
                self.known.remove(id);
            }
        }
    }

    /// Fills in the limits of our containers. Those that aren't known are inspected, and their state is taken from that.
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
        let inspected: HashMap<String, Option<Inspected>> = stream::iter(unknown)
            .map(|id| async move { reader.inspect(&id).await.map(|found| (id, found)) })
            .buffer_unordered(WIDTH)
            .try_collect()
            .await?;
        for container in containers.iter_mut().filter(|c| c.tag.is_some()) {
            match inspected.get(&container.id) {
                Some(Some(found)) => {
                    container.state = found.state;
                    container.limits = Some(found.limits);
                    self.known.insert(container.id.clone(), found.limits);
                }
                // It vanished since it was listed; its removal wakes us again.
                Some(None) => container.state = RunState::Removing,
                None => container.limits = self.known.get(&container.id).copied(),
            }
        }
        Ok(())
    }
}

/// What an inspection tells.
#[derive(Debug, Clone, Copy)]
struct Inspected {
    limits: Limits,
    state: RunState,
}

impl Reader {
    /// Inspects one container; `None` when it vanished since it was listed.
    async fn inspect(&self, id: &str) -> Result<Option<Inspected>, EngineError> {
        let call = self.docker.inspect_container(id, None::<InspectContainerOptions>);
        match bounded(&format!("inspect container {id}"), READ_DEADLINE, call).await {
            Ok(answer) => {
                let host = answer.host_config.unwrap_or_default();
                // The engine writes "no limit" as 0, as nothing or (for pids) as -1; all of them mean 0 here.
                let positive = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
                let limits = Limits {
                    nano_cpus: positive(host.nano_cpus),
                    memory: positive(host.memory),
                    pids: positive(host.pids_limit).try_into().unwrap_or(u32::MAX),
                };
                let status = answer.state.and_then(|state| state.status);
                let state = run_state(&status.map(|status| status.to_string()).unwrap_or_default());
                Ok(Some(Inspected { limits, state }))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
