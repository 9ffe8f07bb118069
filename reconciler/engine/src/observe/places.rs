//! Places of a container's files on the host.

use std::path::{Path, PathBuf};

use berth_plan::names::RESTORED_VOLUME;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;

use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;

/// Name under which a storage driver tells the folder of a container's own layer.
const LAYER: &str = "UpperDir";

/// Folders that hold what a container writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Its volumes, its own layer, and the folder in which the engine keeps its log and three files of its `/etc`.
    pub folders: Vec<PathBuf>,
    /// Set if its layer is among them: not every store of images tells where that is.
    pub has_layer: bool,
}

impl Reader {
    /// Finds the folders that hold what a container writes; `None` where the container isn't there.
    pub async fn places(&self, container: &str) -> Result<Option<Places>, EngineError> {
        let call = self.docker.inspect_container(container, None::<InspectContainerOptions>);
        match bounded(&format!("inspect container {container}"), READ_DEADLINE, call).await {
            Err(error) if error.is_missing() => Ok(None),
            found => found.map(|found| Some(places(&found))),
        }
    }
}

fn places(container: &ContainerInspectResponse) -> Places {
    let volumes = container.mounts.iter().flatten().filter(|mount| mount.typ.as_deref() == Some("volume"));
    // Copies that Berth puts there, and that a container can't write.
    let volumes = volumes.filter(|mount| mount.destination.as_deref() != Some(RESTORED_VOLUME.1));
    let volumes = volumes.filter_map(|mount| mount.source.as_ref());
    let layer = container.graph_driver.as_ref().and_then(|driver| driver.data.get(LAYER));
    let mut folders: Vec<PathBuf> = volumes.chain(layer).map(PathBuf::from).collect();
    let own = container.resolv_conf_path.as_ref().and_then(|path| Path::new(path).parent());
    folders.extend(own.map(Path::to_owned));
    // An engine that doesn't know a place says so by an empty text.
    folders.retain(|folder| folder.is_absolute());
    Places { folders, has_layer: layer.is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_writes_is_in_these_places() {
        let inspected = serde_json::json!({
            "ResolvConfPath": "/var/lib/docker/containers/3f5e/resolv.conf",
            "GraphDriver": {"Name": "overlay2", "Data": {
                "LowerDir": "/var/lib/docker/overlay2/a/diff", "UpperDir": "/var/lib/docker/overlay2/b/diff",
            }},
            "Mounts": [
                {"Type": "volume", "Name": "x-apps", "Source": "/var/lib/docker/volumes/x-apps/_data", "Destination": "/apps"},
                {"Type": "bind", "Source": "/run/berth", "Destination": "/run/berth"},
                {"Type": "volume", "Name": "x-restored", "Source": "/var/lib/docker/volumes/x-restored/_data",
                 "Destination": "/restored"},
                {"Type": "tmpfs", "Source": "", "Destination": "/tmp"},
            ],
        });
        let found = places(&serde_json::from_value(inspected).unwrap());
        let expected = [
            "/var/lib/docker/volumes/x-apps/_data",
            "/var/lib/docker/overlay2/b/diff",
            "/var/lib/docker/containers/3f5e",
        ];
        assert_eq!(found, Places { folders: expected.map(PathBuf::from).into(), has_layer: true });
        // Another store of images tells no layer.
        let inspected = serde_json::json!({"ResolvConfPath": "", "Mounts": []});
        let found = places(&serde_json::from_value(inspected).unwrap());
        assert_eq!(found, Places { folders: Vec::new(), has_layer: false });
    }
}
