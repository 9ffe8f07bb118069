//! Steps on volumes.

use std::collections::HashMap;

use berth_plan::spec::VolumeSpec;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;

use super::Writer;
use crate::docker::{EngineError, WRITE_DEADLINE, bounded};

impl Writer {
    pub(super) async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        let request = VolumeCreateRequest {
            name: Some(spec.name.clone()),
            labels: Some(spec.labels.clone().into_iter().collect::<HashMap<_, _>>()),
            ..VolumeCreateRequest::default()
        };
        let act = format!("create volume {}", spec.name);
        let volume = bounded(&act, WRITE_DEADLINE, self.docker.create_volume(request)).await?;
        // The engine hands out an existing volume of that name without a word, whoever's it is.
        let wanted = spec.labels.iter().all(|(key, value)| volume.labels.get(key) == Some(value));
        if wanted {
            return Ok(());
        }
        Err(EngineError::Refused {
            act,
            status: 409,
            message: "a volume of that name is there already and carries other labels".to_owned(),
        })
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        let act = format!("remove volume {name}");
        let call = self.docker.remove_volume(name, None::<RemoveVolumeOptions>);
        match bounded(&act, WRITE_DEADLINE, call).await {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }
}
