//! Canaries: containers that are confined as servers are, stand beside a platform's own for a while, and are removed.
//!
//! Each carries the platform's label and a kind of its own, which the planner leaves alone. Refuses to make, change or
//! remove a container of any other kind.

use berth_plan::label::{KIND, KIND_CANARY, PLATFORM, Tag};
use berth_plan::spec::ContainerSpec;
use berth_schema::name::Prefix;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};

use crate::api::{Connection, READ_DEADLINE, WRITE_DEADLINE, bounded, first_process};
use crate::apply::create_body;
use crate::error::EngineError;
use crate::exec::{Held, Program, Ran, hold_program, run_program};

/// The canaries of a platform.
#[derive(Debug, Clone)]
pub struct Canaries {
    docker: Docker,
    platform: Prefix,
}

/// A canary that was started.
#[derive(Debug)]
pub struct Canary {
    docker: Docker,
    /// Name of its container.
    pub name: String,
    /// Its first process.
    pub pid: u32,
}

impl Canaries {
    /// Returns the canaries of this platform.
    pub fn new(connection: &Connection, platform: &Prefix) -> Self {
        Self { docker: connection.docker(), platform: platform.clone() }
    }

    /// Makes and starts a canary: the container of the specification, labelled as a canary, with `command` as its first
    /// process.
    pub async fn launch(&self, spec: &ContainerSpec, command: &[&str]) -> Result<Canary, EngineError> {
        let name = spec.name.clone();
        let spec = ContainerSpec { labels: Tag::Canary.write(&self.platform), ..spec.clone() };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let call = self.docker.create_container(Some(options), body(&spec, command));
        bounded(&format!("create container {name}"), WRITE_DEADLINE, call).await?;
        let call = self.docker.start_container(&name, None::<StartContainerOptions>);
        bounded(&format!("start container {name}"), WRITE_DEADLINE, call).await?;
        let pid = first_process(&self.docker, &name, &name).await?.unwrap_or_default();
        Ok(Canary { docker: self.docker.clone(), name, pid })
    }

    /// Removes every canary of the platform, whoever made it, one after the other.
    pub async fn remove_all(&self) -> Result<(), EngineError> {
        let labels = [format!("{PLATFORM}={}", self.platform), format!("{KIND}={KIND_CANARY}")].to_vec();
        let filters = [("label".to_owned(), labels)].into();
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let call = self.docker.list_containers(Some(options));
        let found = bounded("list the canaries", READ_DEADLINE, call).await?;
        for id in found.into_iter().filter_map(|container| container.id) {
            // With its volumes, which hold nothing of anybody's.
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let call = self.docker.remove_container(&id, Some(options));
            match bounded("remove a canary", WRITE_DEADLINE, call).await {
                Err(error) if error.is_missing() => {}
                removed => removed?,
            }
        }
        Ok(())
    }
}

impl Canary {
    /// Runs a program in it and waits until it has ended.
    pub async fn run(&self, program: &Program<'_>) -> Result<Ran, EngineError> {
        run_program(&self.docker, &self.name, program).await
    }

    /// Runs a program in it that says a line and goes on until it is released.
    pub async fn hold(&self, program: &Program<'_>) -> Result<Held, EngineError> {
        hold_program(&self.docker, &self.name, program).await
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
    use berth_plan::Desired;
    use berth_schema::{Parsed, State};

    use super::*;

    #[test]
    fn a_canary_of_a_specification_differs_in_its_first_process_alone() {
        let files = [
            ("platform.toml", "domain = \"example.org\"\n"),
            ("users/ann.toml", "role = \"user\"\n"),
            ("servers/shop.toml", "id = 1\nowner = \"ann\"\n"),
        ];
        let state = State::assemble(&files.map(|(path, text)| Parsed::parse(path, text))).expect("a state");
        let desired = Desired::from_state(&state);
        let spec = desired.server_spec(&desired.servers[0]);
        let (mut server, mut canary) = (create_body(&spec), body(&spec, &["/sbin/init"]));
        assert_eq!(canary.entrypoint, Some(vec!["/sbin/init".to_owned()]));
        for body in [&mut server, &mut canary] {
            (body.entrypoint, body.cmd) = (None, None);
            body.host_config.as_mut().expect("how it is confined").restart_policy = None;
        }
        assert_eq!(canary, server);
    }
}
