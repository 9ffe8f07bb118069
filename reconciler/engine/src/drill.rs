//! Drills: a container like a server's over volumes of its own, in which a restored copy is started; and the removal of both.
//!
//! Each carries the platform's label and a kind of its own, which the planner leaves alone. Refuses to make, change or remove anything of
//! another kind.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use berth_plan::label::{KIND, KIND_DRILL, PLATFORM};
use berth_plan::spec::{ContainerSpec, VolumeSpec};
use berth_schema::name::Prefix;
use berth_wire::hold::BootProof;
use bollard::Docker;
use bollard::models::{RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions,
};

use crate::api::{Connection, READ_DEADLINE, WRITE_DEADLINE, bounded, first_process};
use crate::apply::create_body;
use crate::error::EngineError;
use crate::exec::{Program, Ran, run_program};

/// Time to come up, on a machine that has other things to do and with much to look through.
const BOOT: Duration = Duration::from_secs(10 * 60);
/// Time for one question to its systemd.
const ASKED: Duration = Duration::from_secs(60);
/// Time between two questions.
const GLANCE: Duration = Duration::from_millis(500);
/// Exit codes of a program that isn't there or can't be run.
const NO_PROGRAM: [i64; 2] = [126, 127];

/// A copy that doesn't come up.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Units of it failed.
    #[error("it comes up, and units of it fail: {0}")]
    Degraded(String),
    /// Its first process ended.
    #[error("its first process ended: {0}")]
    Ended(String),
    /// It takes too long.
    #[error("it isn't up after {} minutes; systemd says: {said}", BOOT.as_secs() / 60)]
    Late {
        /// The last words of its systemd.
        said: String,
    },
    /// The engine refused, or took too long.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The drills of an engine.
#[derive(Debug, Clone)]
pub struct Drills(Docker);

impl Drills {
    /// Returns the drills of the engine behind `connection`.
    pub fn new(connection: &Connection) -> Self {
        Self(connection.docker())
    }

    /// Makes the volumes of a drill.
    pub async fn make(&self, volumes: Vec<VolumeSpec>) -> Result<(), EngineError> {
        for VolumeSpec { name, labels } in volumes {
            let act = format!("create volume {name}");
            let labels = labels.into_iter().collect::<HashMap<_, _>>();
            let request = VolumeCreateRequest {
                name: Some(name),
                labels: Some(labels),
                ..VolumeCreateRequest::default()
            };
            bounded(&act, WRITE_DEADLINE, self.0.create_volume(request)).await?;
        }
        Ok(())
    }

    /// Makes the container of a drill, and starts it.
    pub async fn start(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let name = &spec.name;
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let mut body = create_body(spec);
        if let Some(host) = &mut body.host_config {
            let name = Some(RestartPolicyNameEnum::NO);
            host.restart_policy = Some(RestartPolicy { name, maximum_retry_count: None });
        }
        let call = self.0.create_container(Some(options), body);
        bounded(&format!("create container {name}"), WRITE_DEADLINE, call).await?;
        let call = self.0.start_container(name, None::<StartContainerOptions>);
        bounded(&format!("start container {name}"), WRITE_DEADLINE, call).await
    }

    /// Waits until the container of a drill is up, and returns the proof of it.
    pub async fn up(&self, name: &str) -> Result<BootProof, BootError> {
        let begun = Instant::now();
        let mut said = String::new();
        while begun.elapsed() < BOOT {
            if first_process(&self.0, name, name).await?.is_none() {
                return Err(BootError::Ended(said));
            }
            match self.run(name, &["systemctl", "is-system-running"]).await {
                Ok(Ran { code: 0, .. }) => return Ok(BootProof::Systemd),
                Ok(Ran { code, .. }) if NO_PROGRAM.contains(&code) => return Ok(BootProof::FirstProcess),
                // The engine says so by its exit code or by a refusal, as its version is.
                Err(EngineError::Refused { status: 400, .. }) => return Ok(BootProof::FirstProcess),
                Ok(ran) if ran.said == "degraded" => {
                    let failed = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"];
                    return Err(BootError::Degraded(self.run(name, &failed).await?.said));
                }
                // It starts, or nobody answers yet; one whose first process has ended is told of above.
                Ok(ran) => said = ran.said,
                Err(error) => said = error.to_string(),
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(BootError::Late { said })
    }

    async fn run(&self, name: &str, command: &[&str]) -> Result<Ran, EngineError> {
        run_program(&self.0, name, &Program { command, input: &[], deadline: ASKED }).await
    }

    /// Removes everything that drills of the platform have made, whoever made it.
    pub async fn remove(&self, platform: &Prefix) -> Result<(), EngineError> {
        let labels = [format!("{PLATFORM}={platform}"), format!("{KIND}={KIND_DRILL}")].to_vec();
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let call = self.0.list_containers(Some(options));
        let found = bounded("list the containers of drills", READ_DEADLINE, call).await?;
        for id in found.into_iter().filter_map(|container| container.id) {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            let call = self.0.remove_container(&id, Some(options));
            gone(bounded("remove the container of a drill", WRITE_DEADLINE, call).await)?;
        }
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let call = self.0.list_volumes(Some(options));
        let found = bounded("list the volumes of drills", READ_DEADLINE, call).await?;
        for volume in found.volumes.unwrap_or_default() {
            let call = self.0.remove_volume(&volume.name, None::<RemoveVolumeOptions>);
            gone(bounded("remove a volume of a drill", WRITE_DEADLINE, call).await)?;
        }
        Ok(())
    }
}

/// Takes what is gone already for removed.
fn gone(removed: Result<(), EngineError>) -> Result<(), EngineError> {
    match removed {
        Err(error) if error.is_missing() => Ok(()),
        removed => removed,
    }
}
