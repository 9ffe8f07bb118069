//! Steps on containers.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use berth_host::{make_passage, panel_group};
use berth_plan::spec::{Bind, Confinement, ContainerSpec, Published, Share};
use berth_schema::server::Limits;
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, EndpointSettings, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, Mount, MountType, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};

use super::error::StepError;
use super::writer::{Target, Writer};
use crate::address;
use crate::api::{READ_DEADLINE, WRITE_DEADLINE, bounded};
use crate::error::EngineError;
use crate::host::HostError;

impl Writer {
    pub(super) async fn require_image(&self, image: &str) -> Result<(), StepError> {
        let act = format!("look for image {image}");
        match bounded(&act, READ_DEADLINE, self.docker.inspect_image(image)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Err(StepError::NoImage { image: image.to_owned() }),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the container and returns the engine's id of it.
    pub(super) async fn create_container(&self, spec: &ContainerSpec) -> Result<String, StepError> {
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let act = format!("create container {}", spec.name);
        for bind in &spec.binds {
            self.make_folder(bind, spec).await?;
        }
        let call = self.docker.create_container(Some(options), create_body(spec));
        Ok(bounded(&act, WRITE_DEADLINE, call).await?.id)
    }

    /// Makes a folder of the host for the container's root, who is the owner of its first volume, and for whom it is shared
    /// with.
    async fn make_folder(&self, bind: &Bind, spec: &ContainerSpec) -> Result<(), StepError> {
        let owner = match spec.mounts.first() {
            Some(mount) => Some(self.system_volume(&mount.volume).await?.0),
            None => None,
        };
        let path = Path::new(&bind.source);
        let made = || {
            let group = match bind.share {
                Share::Own => None,
                Share::Panel => panel_group()?,
            };
            if let (Share::Panel, Some(parent)) = (bind.share, path.parent()) {
                // Others than root pass through it.
                make_passage(parent)?;
            }
            fs::create_dir_all(path)?;
            if let Some(volume) = owner {
                let meta = fs::metadata(volume)?;
                chown(path, Some(meta.uid()), Some(group.unwrap_or(meta.gid())))?;
            }
            // What the container makes in a shared folder is the group's too, whose number it doesn't know.
            let mode = if group.is_some() { 0o2770 } else { 0o700 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        };
        Ok(made().map_err(HostError::on_file("make the folder", path))?)
    }

    pub(super) async fn start(&self, target: Target<'_>) -> Result<(), EngineError> {
        let act = format!("start container {}", target.name);
        let call = self.docker.start_container(target.id, None::<StartContainerOptions>);
        bounded(&act, WRITE_DEADLINE, call).await
    }

    pub(super) async fn unpause(&self, target: Target<'_>) -> Result<(), EngineError> {
        let act = format!("unpause container {}", target.name);
        bounded(&act, WRITE_DEADLINE, self.docker.unpause_container(target.id)).await
    }

    pub(super) async fn stop(&self, target: Target<'_>, timeout: u32) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        let options =
            StopContainerOptionsBuilder::default().t(timeout.try_into().unwrap_or(i32::MAX)).build();
        let act = format!("stop container {}", target.name);
        let deadline = WRITE_DEADLINE + Duration::from_secs(timeout.into());
        match bounded(&act, deadline, self.docker.stop_container(target.id, Some(options))).await {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }

    pub(super) async fn update(&self, target: Target<'_>, limits: &Limits) -> Result<(), EngineError> {
        let act = format!("update the limits of container {}", target.name);
        let wanted = EngineLimits::from(limits);
        let body = ContainerUpdateBody {
            nano_cpus: Some(wanted.nano_cpus),
            memory: Some(wanted.memory),
            memory_swap: Some(wanted.memory),
            pids_limit: Some(wanted.pids),
            ..ContainerUpdateBody::default()
        };
        bounded(&act, WRITE_DEADLINE, self.docker.update_container(target.id, body)).await
    }

    pub(super) async fn remove(&self, target: Target<'_>) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        // Neither `force` nor `v`: a running container is a mistake of the plan, and volumes are removed by name.
        let options = RemoveContainerOptionsBuilder::default().build();
        let act = format!("remove container {}", target.name);
        match bounded(&act, WRITE_DEADLINE, self.docker.remove_container(target.id, Some(options))).await {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }
}

/// Limits in the engine's signed numbers.
struct EngineLimits {
    nano_cpus: i64,
    memory: i64,
    pids: i64,
}

impl From<&Limits> for EngineLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            nano_cpus: limits.nano_cpus.try_into().unwrap_or(i64::MAX),
            memory: limits.memory.try_into().unwrap_or(i64::MAX),
            pids: limits.pids.into(),
        }
    }
}

/// The request that makes a container, and nothing that isn't in its specification.
pub fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
    let confinement = &spec.confinement;
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        // One that joins another's network has that one's name, and the engine refuses another.
        hostname: Some(spec.hostname.clone()).filter(|name| !name.is_empty()),
        env: Some(spec.env.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        exposed_ports: (!spec.publishes.is_empty())
            .then(|| spec.publishes.iter().map(|published| port(published.container)).collect()),
        tty: Some(confinement.tty),
        stop_signal: confinement.stop_signal.clone(),
        stop_timeout: Some(confinement.stop_timeout.into()),
        host_config: Some(host_config(spec, confinement)),
        networking_config: (!spec.networks.is_empty()).then(|| NetworkingConfig {
            endpoints_config: Some(
                spec.networks.iter().map(|name| (name.clone(), EndpointSettings::default())).collect(),
            ),
        }),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, confinement: &Confinement) -> HostConfig {
    let limits = spec.limits.as_ref().map(EngineLimits::from);
    // The engine only takes masked and read-only paths as whole lists; an empty one shows /proc whole.
    let unmasked = confinement.unmask_proc.then(Vec::new);
    HostConfig {
        nano_cpus: limits.as_ref().map(|l| l.nano_cpus),
        memory: limits.as_ref().map(|l| l.memory),
        memory_swap: limits.as_ref().map(|l| l.memory),
        pids_limit: limits.as_ref().map(|l| l.pids),
        network_mode: Some(match &spec.joins {
            Some(other) => format!("container:{other}"),
            None => spec.networks.first().cloned().unwrap_or_else(|| "none".to_owned()),
        }),
        port_bindings: (!spec.publishes.is_empty()).then(|| port_bindings(&spec.publishes)),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        // A server's console is systemd's; what matters is in its own journal. The engine keeps little of it.
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "1m".to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        }),
        // The engine makes the folder of one that is missing, such as after the host's restart; of a mount it doesn't.
        binds: (!spec.binds.is_empty()).then(|| spec.binds.iter().map(bound).collect()),
        mounts: Some(
            spec.mounts
                .iter()
                .map(|mount| Mount {
                    typ: Some(MountType::VOLUME),
                    source: Some(mount.volume.clone()),
                    target: Some(mount.target.clone()),
                    read_only: mount.read_only.then_some(true),
                    ..Mount::default()
                })
                .collect(),
        ),
        runtime: confinement.runtime.clone(),
        userns_mode: Some(confinement.userns_mode.clone()),
        cap_add: Some(confinement.cap_add.clone()),
        cap_drop: Some(confinement.cap_drop.clone()),
        security_opt: Some(confinement.security_opt.clone()),
        masked_paths: unmasked.clone(),
        readonly_paths: unmasked,
        readonly_rootfs: Some(confinement.read_only),
        cgroupns_mode: confinement.private_cgroup.then_some(HostConfigCgroupnsModeEnum::PRIVATE),
        tmpfs: Some(confinement.tmpfs.clone().into_iter().collect()),
        sysctls: Some(confinement.sysctls.clone().into_iter().collect()),
        dns: Some(confinement.dns.clone()),
        ..HostConfig::default()
    }
}

/// A folder of the host as the engine reads it.
fn bound(bind: &Bind) -> String {
    let end = if bind.read_only { ":ro" } else { "" };
    format!("{}:{}{end}", bind.source, bind.target)
}

fn port(number: u16) -> String {
    format!("{number}/tcp")
}

/// Checks that the host has an address. The engine would only say so when it starts the container.
pub(super) fn require_address(address: Ipv4Addr) -> Result<(), StepError> {
    address::require(address.into()).map_err(|source| StepError::NoAddress { address, source })
}

fn port_bindings(publishes: &[Published]) -> HashMap<String, Option<Vec<PortBinding>>> {
    publishes
        .iter()
        .map(|published| {
            let host_ip = published.address.map(|address| address.to_string());
            let binding = PortBinding { host_ip, host_port: Some(published.host.to_string()) };
            (port(published.container), Some(vec![binding]))
        })
        .collect()
}
