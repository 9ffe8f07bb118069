//! The user plane, as the kernel shows it: which links end in it, and which containers work in it.

use berth_link::Plane;
use berth_plan::label::Tag;
use berth_plan::observed::{ObservedContainer, ObservedPlane, RunState};
use berth_plan::plane::holder;
use berth_schema::name::Prefix;

use super::Reader;
use crate::docker::{EngineError, first_process};

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
            if let Some(pid) = first_process(&self.docker, &container.id, &container.name).await? {
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
