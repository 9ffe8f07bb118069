//! Canaries: containers that are confined, linked and filtered as servers are, and that nobody minds being attacked.
//!
//! They carry the platform's label and a kind of their own, which the planner leaves alone. They exist while the doctor
//! looks, and what a doctor that was killed has left is removed by the next one.

use std::time::Duration;

use berth_plan::label::{KIND, KIND_CANARY, PLATFORM, Tag};
use berth_plan::spec::ContainerSpec;
use berth_plan::{Desired, plane};
use berth_schema::server::Limits;
use bollard::Docker;
use bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};

use super::DoctorError;
use super::scene::Member;
use crate::apply::create_body;
use crate::docker::{EngineError, READ_DEADLINE, WRITE_DEADLINE, bounded};
use crate::exec::{self, Program};

/// What a canary does, before and after it is told to do evil.
const WAITS: [&str; 3] = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"];
/// What sends for it.
const HOSTILE: &str = include_str!("../../../templates/doctor/hostile.pl");
/// How long one act may take: a flood of 40,000 frames takes seconds.
const ACT_DEADLINE: Duration = Duration::from_secs(60);

/// A canary.
#[derive(Debug)]
pub(crate) struct Canary {
    docker: Docker,
    name: String,
    /// Its first process.
    pub(crate) pid: u32,
}

impl Canary {
    /// Makes one and starts it, linked by its runtime.
    pub(crate) async fn start(
        docker: &Docker,
        desired: &Desired,
        member: &Member,
    ) -> Result<Self, EngineError> {
        let spec = spec(desired, member);
        let mut body = create_body(&spec);
        body.entrypoint = Some(WAITS.map(str::to_owned).to_vec());
        body.cmd = Some(Vec::new());
        body.stop_signal = Some("SIGTERM".to_owned());
        if let Some(host) = &mut body.host_config {
            host.restart_policy =
                Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None });
        }
        let name = spec.name;
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let act = format!("create container {name}");
        bounded(&act, WRITE_DEADLINE, docker.create_container(Some(options), body)).await?;
        let act = format!("start container {name}");
        bounded(&act, WRITE_DEADLINE, docker.start_container(&name, None::<StartContainerOptions>)).await?;
        let act = format!("inspect container {name}");
        let call = docker.inspect_container(&name, None::<InspectContainerOptions>);
        let state = bounded(&act, READ_DEADLINE, call).await?.state;
        let pid =
            state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
        Ok(Self { docker: docker.clone(), name, pid })
    }

    /// Has its root send something, and returns what it said of it.
    pub(crate) async fn send(&self, arguments: &[&str], input: &[u8]) -> Result<String, DoctorError> {
        self.run(&[&["perl", "-e", HOSTILE, "--"], arguments].concat(), input).await
    }

    /// Runs a script as its root, and returns what it said.
    pub(crate) async fn shell(&self, script: &str) -> Result<String, DoctorError> {
        self.run(&["sh", "-c", script], &[]).await
    }

    /// An attack that failed by itself was none: only what ended well is returned.
    async fn run(&self, command: &[&str], input: &[u8]) -> Result<String, DoctorError> {
        let program = Program { command, input, deadline: ACT_DEADLINE };
        let ran = exec::run_program(&self.docker, &self.name, &program).await?;
        match ran.code {
            0 => Ok(ran.said),
            code => Err(DoctorError::Attacker { code, said: ran.said.replace('\n', ", ") }),
        }
    }
}

/// Removes the platform's canaries, whoever made them, one after the other.
pub(crate) async fn remove_all(docker: &Docker, platform: &str) -> Result<(), EngineError> {
    let labels = [format!("{PLATFORM}={platform}"), format!("{KIND}={KIND_CANARY}")].to_vec();
    let filters = [("label".to_owned(), labels)].into();
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = bounded("list the canaries", READ_DEADLINE, docker.list_containers(Some(options))).await?;
    for id in found.into_iter().filter_map(|container| container.id) {
        // With its volumes, which hold nothing of anybody's.
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match bounded("remove a canary", WRITE_DEADLINE, docker.remove_container(&id, Some(options))).await {
            Err(error) if error.is_missing() => {}
            removed => removed?,
        }
    }
    Ok(())
}

fn spec(desired: &Desired, member: &Member) -> ContainerSpec {
    let number = member.link.port.trim_start_matches("sc");
    let mut env = vec!["container=docker".to_owned()];
    env.extend(plane::server_environment(&desired.platform, &member.link));
    ContainerSpec {
        name: format!("{}-users-canary-{number}", desired.prefix()),
        image: desired.platform.images.server.to_string(),
        labels: Tag::Canary.write(desired.prefix()),
        hostname: format!("canary-{number}"),
        env,
        limits: Some(Limits { nano_cpus: 1_000_000_000, memory: 256 << 20, pids: 256 }),
        confinement: desired.confinement.clone(),
        ..ContainerSpec::default()
    }
}
