//! What an export needs besides what every pass looks at: subnets, ports, and containers that are called like a server's
//! and aren't Berth's.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use berth_plan::observed::{Observed, RunState};
use berth_schema::name::{Prefix, ServerId};
use berth_schema::server::Limits;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, ListNetworksOptionsBuilder};
use ipnet::Ipv4Net;

use super::{Inspections, Reader, volumes_of};
use crate::docker::{EngineError, READ_DEADLINE, bounded};
use crate::export::{Foreign, Sighting};

/// The platform's own containers whose making says something of its settings.
const SYSTEM: [&str; 4] = ["filtered-users", "users-caddy", "users-dockerhub-cache", "users-ssh-router"];

impl Reader {
    /// Everything of the platform `prefix` that an export is made of.
    pub async fn sight(&self, prefix: &Prefix) -> Result<Sighting, EngineError> {
        let (containers, volumes, networks) =
            tokio::try_join!(self.containers(prefix), self.list_volumes(), self.networks(prefix))?;
        let mut inspections = Inspections::default();
        let volumes = volumes_of(prefix, volumes, &mut inspections)?;
        let mut observed = Observed { networks, volumes, containers, ..Observed::default() };
        inspections.fill(self, &mut observed.containers).await?;
        let mut seen = Sighting { subnets: self.subnets(prefix).await?, ..Sighting::default() };
        let named = format!("{prefix}-users-dind-");
        for container in &observed.containers {
            let is_ours = container.tag.is_some();
            let number = container.name.strip_prefix(&named).and_then(|end| end.parse().ok());
            let id = number.filter(|_| !is_ours).map(ServerId);
            let ends = |end| container.name == format!("{prefix}-{end}");
            let is_system = is_ours && SYSTEM.into_iter().any(ends);
            if id.is_none() && !is_system {
                continue;
            }
            let call = self.docker.inspect_container(&container.id, None::<InspectContainerOptions>);
            let act = format!("inspect container {}", container.name);
            let found = match bounded(&act, READ_DEADLINE, call).await {
                Ok(found) => found,
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error),
            };
            match id {
                Some(id) => {
                    let runs = matches!(container.state, RunState::Running | RunState::Paused);
                    seen.foreign.push(foreign(id, &container.name, &container.image, runs, found));
                }
                None => read_system(found, &mut seen),
            }
        }
        seen.foreign.sort_by_key(|foreign| foreign.id);
        seen.observed = observed;
        Ok(seen)
    }

    async fn subnets(&self, prefix: &Prefix) -> Result<BTreeMap<String, Ipv4Net>, EngineError> {
        let options = ListNetworksOptionsBuilder::default().build();
        let list = bounded("list networks", READ_DEADLINE, self.docker.list_networks(Some(options))).await?;
        let begin = format!("{prefix}-");
        Ok(list
            .into_iter()
            .filter_map(|network| {
                let end = network.name?.strip_prefix(&begin)?.to_owned();
                let mut pools = network.ipam?.config?.into_iter();
                let subnet = pools.find_map(|pool| pool.subnet?.parse().ok())?;
                Some((end, subnet))
            })
            .collect())
    }
}

fn read_system(found: ContainerInspectResponse, seen: &mut Sighting) {
    let environment = found.config.and_then(|config| config.env).unwrap_or_default();
    let subnet = environment.iter().find_map(|line| line.strip_prefix("BERTH_SUBNET="));
    seen.users = seen.users.or_else(|| subnet?.parse().ok());
    let host = found.host_config.unwrap_or_default();
    let dns: Vec<Ipv4Addr> =
        host.dns.unwrap_or_default().iter().filter_map(|address| address.parse().ok()).collect();
    if seen.dns.is_empty() {
        seen.dns = dns;
    }
    let bindings = host.port_bindings.unwrap_or_default();
    let port = |name: &str| bindings.get(name)?.as_ref()?.first()?.host_port.as_ref()?.parse().ok();
    seen.ssh = seen.ssh.or_else(|| port("2222/tcp"));
    seen.ports = seen.ports.or_else(|| Some((port("80/tcp")?, port("443/tcp")?)));
}

fn foreign(id: ServerId, name: &str, image: &str, runs: bool, found: ContainerInspectResponse) -> Foreign {
    let host = found.host_config.unwrap_or_default();
    let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
    let mounts = found.mounts.unwrap_or_default().into_iter();
    Foreign {
        id,
        container: name.to_owned(),
        hostname: found.config.and_then(|config| config.hostname).unwrap_or_default(),
        image: image.to_owned(),
        limits: Limits {
            nano_cpus: positive(host.nano_cpus),
            memory: positive(host.memory),
            pids: positive(host.pids_limit).try_into().unwrap_or(0),
        },
        runs,
        mounts: mounts.filter_map(|mount| Some((mount.name.or(mount.source)?, mount.destination?))).collect(),
    }
}
