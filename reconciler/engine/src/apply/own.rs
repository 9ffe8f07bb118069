//! The platform's own containers, found by their names, and programs run in them.

use berth_plan::label::PLATFORM;
use bollard::query_parameters::InspectContainerOptions;

use super::error::StepError;
use super::writer::Writer;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;
use crate::exec::{self, Ran};

impl Writer {
    /// The engine's id of a container of the platform's own, which an earlier change of the same plan may have made.
    pub(super) async fn own(&self, name: &str, platform: &str) -> Result<String, StepError> {
        let act = format!("find container {name}");
        let call = self.docker.inspect_container(name, None::<InspectContainerOptions>);
        let found = bounded(&act, READ_DEADLINE, call).await?;
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        match found.id {
            Some(id) if labels.get(PLATFORM).is_some_and(|owner| owner == platform) => Ok(id),
            _ => Err(StepError::NotOurs { act, why: "isn't this platform's" }),
        }
    }

    /// Runs a program in a container and waits until it has ended.
    pub(super) async fn run(&self, id: &str, command: &[&str]) -> Result<Ran, EngineError> {
        exec::run(&self.docker, id, command).await
    }
}
