//! Sighting: what an export needs besides a pass's view, which is subnets, ports, and containers that are named like a
//! server's and aren't Berth's.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use berth_plan::names::{self, Service};
use berth_plan::observed::{Observed, RunState};
use berth_schema::name::{Prefix, ServerId};
use berth_schema::server::Limits;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;
use ipnet::Ipv4Net;

use super::error::ObserveError;
use super::inspections::Inspections;
use super::reader::Reader;
use super::volumes::volumes_of;
use crate::api::{READ_DEADLINE, bounded};

/// Everything about a platform on an engine that an export is made of.
#[derive(Debug, Clone, Default)]
pub struct Sighting {
    /// The planner's view.
    pub observed: Observed,
    /// Subnets of the platform's networks, by the end of their names, such as `external`.
    pub subnets: BTreeMap<String, Ipv4Net>,
    /// The subnet of the servers.
    pub users: Option<Ipv4Net>,
    /// The resolvers that the platform's services ask.
    pub dns: Vec<Ipv4Addr>,
    /// The machine's ports of the web server: HTTP and HTTPS.
    pub ports: Option<(u16, u16)>,
    /// The machine's port of the SSH router.
    pub ssh: Option<u16>,
    /// Containers that are named like a server's and aren't Berth's.
    pub foreign: Vec<Foreign>,
}

/// A container that is named like a server's and isn't Berth's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Foreign {
    /// The number in its name.
    pub id: ServerId,
    pub container: String,
    pub hostname: String,
    pub image: String,
    /// Its limits; 0 where it has none.
    pub limits: Limits,
    pub runs: bool,
    /// Its mounts: from where, and where to.
    pub mounts: Vec<(String, String)>,
}

impl Reader {
    /// Reads everything of the platform `prefix` that an export is made of.
    pub async fn sight(&self, prefix: &Prefix) -> Result<Sighting, ObserveError> {
        let (containers, volumes, networks) =
            tokio::try_join!(self.containers(prefix), self.list_volumes(), self.networks(prefix))?;
        let mut inspections = Inspections::default();
        let volumes = volumes_of(prefix, volumes, &mut inspections)?;
        let mut observed = Observed { networks, volumes, containers, ..Observed::default() };
        inspections.fill(self, &mut observed.containers).await?;
        let mut seen = Sighting { subnets: self.subnets(prefix).await?, ..Sighting::default() };
        let services =
            [Service::Caddy, Service::Cache, Service::Router].map(|service| service.container(prefix));
        // Their making says something of the platform's settings.
        let system: Vec<String> = services.into_iter().chain([names::holder(prefix)]).collect();
        for container in &observed.containers {
            let is_ours = container.tag.is_some();
            let id = names::server_of_container(&container.name, prefix.as_str()).filter(|_| !is_ours);
            let is_system = is_ours && system.contains(&container.name);
            if id.is_none() && !is_system {
                continue;
            }
            let call = self.docker.inspect_container(&container.id, None::<InspectContainerOptions>);
            let act = format!("inspect container {}", container.name);
            let found = match bounded(&act, READ_DEADLINE, call).await {
                Ok(found) => found,
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error.into()),
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
}

fn read_system(found: ContainerInspectResponse, seen: &mut Sighting) {
    let environment = found.config.and_then(|config| config.env).unwrap_or_default();
    let subnet = names::value_in(&environment, names::variable::SUBNET);
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
