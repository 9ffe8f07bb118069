//! Canaries: containers that are confined, linked and filtered as servers are, and that nobody minds being attacked.
//!
//! They carry the platform's label and a kind of their own, which the planner leaves alone. They exist while the doctor
//! looks, and what a doctor that was killed has left is removed by the next one.

use std::time::Duration;

use berth_plan::label::{KIND, KIND_CANARY, PLATFORM, Tag};
use berth_plan::spec::{Confinement, ContainerSpec, Published};
use berth_plan::{Desired, plane};
use berth_schema::server::Limits;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, NetworkConnectRequest, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};

use super::DoctorError;
use super::scene::{CONTROL_NETWORKS, Member};
use crate::apply::create_body;
use crate::docker::{EngineError, READ_DEADLINE, WRITE_DEADLINE, bounded, first_process};
use crate::exec::{self, Program};

/// Its first process: the init of a server, with all that a server has but the services that members use. Root would stop
/// those: what they listen on is where witnesses do, and the inner engine's bridge would swallow what is sent to the host's.
const BOOTS: [&str; 2] = ["/sbin/init", "--unit=basic.target"];
/// How long that may take, on a machine that has other things to do.
const BOOT_DEADLINE: Duration = Duration::from_secs(90);
/// What tells that it has. It waits in the canary, so that the engine has one call to answer.
const BOOTED: &str = "until systemctl --quiet is-active basic.target; do sleep 0.1; done";
/// What somebody does who only is there.
const WAITS: [&str; 3] = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"];
/// Where a panel listens in its container (seed, section 3.1), and what else there may be on a control network.
pub(crate) const PANEL: u16 = 3000;
pub(crate) const CONTROL_PORTS: [u16; 4] = [8000, 8080, 80, 443];
/// What sends for it.
const HOSTILE: &str = include_str!("../../../templates/doctor/hostile.pl");
/// How long one act may take: a flood of 40,000 frames takes seconds.
const ACT_DEADLINE: Duration = Duration::from_secs(60);

/// A canary.
#[derive(Debug)]
pub(crate) struct Canary {
    docker: Docker,
    /// Its container.
    pub(crate) name: String,
    /// Its first process.
    pub(crate) pid: u32,
}

impl Canary {
    /// Makes one and starts it, linked by its runtime, and waits until it has booted.
    pub(crate) async fn start(
        docker: &Docker,
        desired: &Desired,
        member: &Member,
    ) -> Result<Self, DoctorError> {
        let canary = Self::launch(docker, &spec(desired, member), &BOOTS).await?;
        let boot = Program { command: &["sh", "-c", BOOTED], input: &[], deadline: BOOT_DEADLINE };
        exec::run_program(docker, &canary.name, &boot).await?;
        Ok(canary)
    }

    /// Makes somebody with a leg in each control network, and a port that the machine publishes as it does Caddy's.
    pub(crate) async fn on_control_networks(docker: &Docker, desired: &Desired) -> Result<Self, DoctorError> {
        let canary = Self::launch(docker, &panel(desired), &WAITS).await?;
        for network in CONTROL_NETWORKS {
            let network = format!("{}-{network}", desired.prefix());
            let request = NetworkConnectRequest { container: canary.name.clone(), endpoint_config: None };
            let act = format!("connect {} to {network}", canary.name);
            bounded(&act, WRITE_DEADLINE, docker.connect_network(&network, request)).await?;
        }
        Ok(canary)
    }

    async fn launch(docker: &Docker, spec: &ContainerSpec, command: &[&str]) -> Result<Self, EngineError> {
        let name = spec.name.clone();
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let act = format!("create container {name}");
        bounded(&act, WRITE_DEADLINE, docker.create_container(Some(options), body(spec, command))).await?;
        let act = format!("start container {name}");
        bounded(&act, WRITE_DEADLINE, docker.start_container(&name, None::<StartContainerOptions>)).await?;
        let pid = first_process(docker, &name, &name).await?.unwrap_or_default();
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

/// A server's container, but for its name, its data and the size of it.
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

/// It does nothing, and may do nothing.
fn panel(desired: &Desired) -> ContainerSpec {
    ContainerSpec {
        name: format!("{}-users-canary-panel", desired.prefix()),
        image: desired.platform.images.server.to_string(),
        labels: Tag::Canary.write(desired.prefix()),
        hostname: "canary-panel".to_owned(),
        networks: vec![format!("{}-external", desired.prefix())],
        // Any port of the machine that is free.
        publishes: vec![Published { host: 0, container: PANEL }],
        limits: Some(Limits { nano_cpus: 100_000_000, memory: 64 << 20, pids: 16 }),
        confinement: Confinement {
            cap_drop: vec!["ALL".to_owned()],
            security_opt: vec!["no-new-privileges".to_owned()],
            sysctls: [("net.ipv4.ip_forward".to_owned(), "0".to_owned())].into(),
            ..Confinement::default()
        },
        ..ContainerSpec::default()
    }
}

/// The request that makes a canary: that of the specification, with another first process, and gone when it has ended.
fn body(spec: &ContainerSpec, command: &[&str]) -> ContainerCreateBody {
    let mut body = create_body(spec);
    body.entrypoint = Some(command.iter().map(|part| (*part).to_owned()).collect());
    body.cmd = Some(Vec::new());
    if let Some(host) = &mut body.host_config {
        host.restart_policy =
            Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None });
    }
    body
}

#[cfg(test)]
mod tests {
    use berth_schema::{Parsed, State};

    use super::*;
    use crate::doctor::scene::Scene;

    #[test]
    fn a_canary_is_made_as_a_server_is_but_for_what_it_runs_and_its_data() {
        let files = [
            ("platform.toml", "domain = \"example.org\"\n"),
            ("users/ann.toml", "role = \"user\"\n"),
            ("servers/shop.toml", "id = 1\nowner = \"ann\"\n"),
        ];
        let state = State::assemble(&files.map(|(path, text)| Parsed::parse(path, text))).expect("a state");
        let desired = Desired::from_state(&state);
        let mut server = create_body(&desired.server_spec(&desired.servers[0]));
        let mut canary = body(&spec(&desired, &Scene::example().attacker), &BOOTS);
        for body in [&mut server, &mut canary] {
            // Whose it is, what it boots to, and how big it is.
            (body.hostname, body.labels, body.entrypoint, body.cmd) = (None, None, None, None);
            let host = body.host_config.as_mut().expect("how it is confined");
            (host.mounts, host.restart_policy) = (None, None);
            (host.nano_cpus, host.memory, host.memory_swap, host.pids_limit) = (None, None, None, None);
            // Its link and its name are its own.
            let is_own = |variable: &String| {
                ["BERTH_ADDRESS=", "BERTH_PLANE_PORT=", "BERTH_SERVER_"]
                    .iter()
                    .any(|name| variable.starts_with(name))
            };
            body.env.as_mut().expect("an environment").retain(|variable| !is_own(variable));
        }
        assert_eq!(canary, server);
    }
}
