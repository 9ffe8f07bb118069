//! The user plane, as the kernel shows it: which links end in it, and which containers work in it.

use berth_link::Plane;
use berth_plan::label::Tag;
use berth_plan::observed::{ObservedContainer, ObservedPlane, RunState};
use berth_plan::plane::holder;
use berth_schema::name::Prefix;
use bollard::query_parameters::InspectContainerOptions;

use super::Reader;
use crate::docker::{EngineError, READ_DEADLINE, bounded};

impl Reader {
    /// The plane of a platform; `None` while its holder doesn't run, or nobody knows where it is.
    pub(super) async fn plane(
        &self,
        platform: &Prefix,
        containers: &[ObservedContainer],
    ) -> Result<Option<ObservedPlane>, EngineError> {
        let holder = holder(platform);
        let is_ours = |container: &&ObservedContainer| {
            matches!(container.tag, Some(Tag::System { .. })) && container.state == RunState::Running
        };
        let ours: Vec<&ObservedContainer> = containers.iter().filter(is_ours).collect();
        if !ours.iter().any(|container| container.name == holder) {
            return Ok(None);
        }
        // Asked for at every look: a process id that was remembered may be another process's by now.
        let mut processes = Vec::new();
        for container in ours.iter().filter(|container| container.name != holder) {
            if let Some(pid) = self.process(&container.id).await? {
                processes.push((container.id.clone(), pid));
            }
        }
        let prefix = platform.to_string();
        let looked = tokio::task::spawn_blocking(move || look(&prefix, &processes)).await;
        let failed =
            |source| EngineError::Plane { act: format!("look at the user plane of {platform}"), source };
        match looked {
            Ok(found) => found.map_err(failed),
            Err(error) => Err(failed(berth_link::Error::new("look at it", std::io::Error::other(error)))),
        }
    }

    /// The first process of a container; `None` when it doesn't run.
    async fn process(&self, id: &str) -> Result<Option<u32>, EngineError> {
        let call = self.docker.inspect_container(id, None::<InspectContainerOptions>);
        match bounded(&format!("inspect container {id}"), READ_DEADLINE, call).await {
            Ok(answer) => {
                let pid = answer.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
                Ok(pid.filter(|pid| *pid > 0))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn look(prefix: &str, processes: &[(String, u32)]) -> berth_link::Result<Option<ObservedPlane>> {
    let Some(plane) = Plane::registered(prefix)? else { return Ok(None) };
    let ports = plane.ports()?.into_iter().filter(|port| port.up);
    let mut joined = std::collections::BTreeSet::new();
    for (id, pid) in processes {
        if plane.is_joined_by(*pid)? {
            joined.insert(id.clone());
        }
    }
    Ok(Some(ObservedPlane {
        ports: ports.filter_map(|port| Some((port.name, port.address?))).collect(),
        joined,
    }))
}
