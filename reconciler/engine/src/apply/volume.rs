//! Steps on volumes.

use std::collections::HashMap;

use berth_plan::spec::VolumeSpec;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;

use super::error::StepError;
use super::writer::Writer;
use crate::api::{WRITE_DEADLINE, bounded};
use crate::error::EngineError;

impl Writer {
    pub(super) async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), StepError> {
        let request = VolumeCreateRequest {
            name: Some(spec.name.clone()),
            labels: Some(spec.labels.clone().into_iter().collect::<HashMap<_, _>>()),
            ..VolumeCreateRequest::default()
        };
        let act = format!("create volume {}", spec.name);
        let volume = bounded(&act, WRITE_DEADLINE, self.docker.create_volume(request)).await?;
        // The engine hands out an existing volume of that name without a word, whoever's it is.
        let is_ours = spec.labels.iter().all(|(key, value)| volume.labels.get(key) == Some(value));
        is_ours.then_some(()).ok_or(StepError::NotOurs { act, why: "carries other labels" })
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
