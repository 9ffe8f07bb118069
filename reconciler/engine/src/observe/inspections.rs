//! Inspections: facts that the engine's list doesn't tell, or tells too late.
//!
//! The list has no limits, and for some milliseconds after a container has ended it still calls it running (the engine
//! reports the end before it updates what it lists from). An inspection waits for the truth. So: one inspection for
//! each container that we don't know, then its limits are remembered; every event about a container makes us forget it.
//! Missed events are made up for by forgetting everything.
//!
//! The mark in the volume of a server's SSH keys is remembered too: only Berth writes there, and reading ten thousand files
//! at each look takes longer than the rest of it. A loss on the host is noticed when everything is forgotten.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use berth_plan::observed::{ObservedContainer, RunState};
use berth_plan::spec::VolumeSpec;
use berth_plan::step::ContainerRef;
use berth_plan::{Plan, Step};
use berth_schema::server::Limits;
use bollard::models::Volume;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::containers::run_state;
use super::keys;
use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;
use crate::host::HostError;

/// Inspections at a time. More gain nothing on an engine that serialises them.
const WIDTH: usize = 8;

/// Facts of earlier inspections, by the engine's id.
#[derive(Debug, Clone, Default)]
pub struct Inspections {
    known: HashMap<String, Limits>,
    /// Digests of the marks of SSH keys, by the volume's name, with the time at which the volume was made. Looks between
    /// passes share them.
    placed: Arc<HashMap<String, (Option<String>, String)>>,
}

impl Inspections {
    /// Forgets one container, since something happened to it.
    pub fn forget(&mut self, id: &str) {
        self.known.remove(id);
    }

    /// Forgets everything, since events were missed.
    pub fn forget_all(&mut self) {
        self.known.clear();
        self.placed = Arc::default();
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

    /// Forgets the containers whose limits a plan changes, and the volumes that it makes, removes or writes keys to.
    pub fn forget_touched(&mut self, plan: &Plan) {
        for step in plan.changes().flat_map(|change| &change.steps) {
            match step {
                Step::UpdateLimits { container: ContainerRef { id: Some(id), .. }, .. } => {
                    self.known.remove(id);
                }
                Step::PlaceIdentity(identity) => {
                    self.forget_volume(&identity.volume);
                }
                Step::CreateVolume(VolumeSpec { name, .. }) | Step::RemoveVolume { name } => {
                    self.forget_volume(name);
                }
                _ => {}
            }
        }
    }

    fn forget_volume(&mut self, name: &str) {
        if self.placed.contains_key(name) {
            Arc::make_mut(&mut self.placed).remove(name);
        }
    }

    /// Forgets the volumes that aren't there any more.
    pub(super) fn keep_volumes(&mut self, volumes: &[Volume]) {
        let there: HashSet<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        if self.placed.keys().any(|name| !there.contains(name.as_str())) {
            Arc::make_mut(&mut self.placed).retain(|name, _| there.contains(name.as_str()));
        }
    }

    /// Returns the digest of the mark of the SSH keys in a server's volume. The absence of one is not remembered.
    pub(super) fn placed(&mut self, volume: &Volume) -> Result<Option<String>, HostError> {
        let made = volume.created_at.as_ref().map(ToString::to_string);
        if let Some((when, placed)) = self.placed.get(&volume.name)
            && *when == made
        {
            return Ok(Some(placed.clone()));
        }
        let placed = keys::placed(volume)?;
        if let Some(placed) = &placed {
            Arc::make_mut(&mut self.placed).insert(volume.name.clone(), (made, placed.clone()));
        }
        Ok(placed)
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

/// The facts of one inspection.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use berth_plan::identity::PLACED;

    use super::*;

    #[test]
    fn what_tells_of_keys_is_read_once_for_each_volume() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(PLACED);
        let volume = Volume {
            name: "ssh".to_owned(),
            mountpoint: folder.path().to_str().unwrap().to_owned(),
            ..Volume::default()
        };
        let mut inspections = Inspections::default();
        assert_eq!(inspections.placed(&volume).unwrap(), None);
        fs::write(&file, "one").unwrap();
        let one = inspections.placed(&volume).unwrap();
        assert!(one.is_some());
        fs::write(&file, "two").unwrap();
        inspections.keep_volumes(std::slice::from_ref(&volume));
        assert_eq!(inspections.placed(&volume).unwrap(), one);
        // One that is gone may come back as another.
        inspections.keep_volumes(&[]);
        let two = inspections.placed(&volume).unwrap();
        assert_ne!(two, one);
        fs::remove_file(&file).unwrap();
        assert_eq!(inspections.placed(&volume).unwrap(), two);
        inspections.forget_all();
        assert_eq!(inspections.placed(&volume).unwrap(), None);
    }
}
