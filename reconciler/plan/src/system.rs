//! The platform's own containers: how each is made and confined. Which of them run is for the platform's settings.

use berth_schema::name::Prefix;
use berth_schema::platform::Platform;
use berth_schema::server::Limits;

use crate::label::{self, Tag};
use crate::plane;
use crate::recipe::RUNTIME;
use crate::spec::{Bind, Confinement, ContainerSpec, LinkSpec, Mount, Published, VolumeSpec, fingerprint};

/// Where a container finds its configurations.
pub const CONFIGURATION: &str = "/etc/berth";

/// Ports that the web server answers on, inside its container.
pub(crate) const HTTP: u16 = 80;
const HTTPS: u16 = 443;
/// The port of the image cache.
pub(crate) const CACHE_PORT: u16 = 5000;
/// The port that the SSH router answers on, inside its container.
const SSH: u16 = 2222;
/// The SSH router among the platform's own containers.
pub(crate) const ROUTER: &str = "ssh-router";
/// Where the control plane listens for what the router passes on: a folder for each platform.
const DOORS: &str = "/run/berth/doors";
/// Where that is in the router's container.
const DOOR: &str = "/run/berth/door";

/// The name of one of the platform's own containers that serve the users.
pub fn container(platform: &Platform, service: &str) -> String {
    format!("{}-users-{service}", platform.prefix)
}

/// The platform's own containers that should run.
pub(crate) fn containers(platform: &Platform) -> Vec<ContainerSpec> {
    let mut all = vec![holder(platform)];
    let services = platform.services;
    if services.firewall {
        all.push(firewall(platform));
    }
    if services.cache {
        all.push(cache(platform));
    }
    if services.web {
        all.push(caddy(platform));
    }
    if services.router {
        all.push(router(platform));
    }
    all.into_iter().map(|spec| tagged(spec, platform)).collect()
}

/// The links of those that have one: the container's name, and its link.
pub(crate) fn links(platform: &Platform) -> Vec<(String, LinkSpec)> {
    let mut all = Vec::new();
    if platform.services.cache {
        all.push((container(platform, "dockerhub-cache"), cache_link(platform)));
    }
    if platform.services.web {
        all.push((container(platform, "caddy"), caddy_link(platform)));
    }
    if platform.services.router {
        all.push((container(platform, ROUTER), router_link(platform)));
    }
    all
}

/// A volume of the platform itself, which is never removed: what is in it may be a certificate.
pub(crate) fn volume(platform: &Platform, name: &str) -> VolumeSpec {
    let mut labels = Tag::System { spec: fingerprint(&name) }.write(&platform.prefix);
    labels.insert(label::KIND.to_owned(), label::KIND_VOLUME.to_owned());
    VolumeSpec { name: name.to_owned(), labels }
}

/// Holds the network namespace that is the user plane. It outlives the processes that work in it.
fn holder(platform: &Platform) -> ContainerSpec {
    ContainerSpec {
        name: plane::holder(&platform.prefix),
        image: platform.images.holder.to_string(),
        hostname: "filtered-users".to_owned(),
        env: plane::holder_environment(platform),
        networks: vec![external(platform)],
        limits: Some(Limits { nano_cpus: 100_000_000, memory: 16 << 20, pids: 16 }),
        confinement: Confinement {
            runtime: Some(RUNTIME.to_owned()),
            sysctls: [
                ("net.ipv4.ip_forward", "0"),
                ("net.ipv6.conf.all.disable_ipv6", "1"),
                ("net.ipv6.conf.default.disable_ipv6", "1"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            ..confined(&[])
        },
        ..ContainerSpec::default()
    }
}

/// The firewall and DNS work in the plane itself: they join the holder, and share its user namespace.
fn firewall(platform: &Platform) -> ContainerSpec {
    ContainerSpec {
        name: container(platform, "firewall"),
        image: platform.images.firewall.to_string(),
        // A container that joins another's network has that one's host name.
        hostname: String::new(),
        env: vec![
            format!("BERTH_GATEWAY={}", platform.networks.gateway()),
            format!("BERTH_SUBNET={}", platform.networks.users),
        ],
        joins: Some(plane::holder(&platform.prefix)),
        mounts: vec![mount(container(platform, "firewall"), CONFIGURATION)],
        limits: Some(Limits { nano_cpus: 0, memory: 256 << 20, pids: 128 }),
        confinement: Confinement {
            // Forwarding is switched on under /proc/sys, by its owner: the mapped root.
            unmask_proc: true,
            tmpfs: scratch(),
            ..confined(&["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE", "SETUID", "SETGID"])
        },
        ..ContainerSpec::default()
    }
}

fn caddy(platform: &Platform) -> ContainerSpec {
    let name = container(platform, "caddy");
    ContainerSpec {
        image: platform.images.caddy.to_string(),
        env: plane::service_environment(platform, &caddy_link(platform)),
        publishes: vec![
            Published { host: platform.web.http_port.get(), container: HTTP },
            Published { host: platform.web.https_port.get(), container: HTTPS },
        ],
        mounts: vec![mount(format!("{name}-config"), CONFIGURATION), mount(caddy_data(platform), "/data")],
        limits: Some(Limits { nano_cpus: 0, memory: 2 << 30, pids: 1024 }),
        confinement: service_confinement(platform, &["NET_BIND_SERVICE"]),
        ..service(platform, name, "caddy")
    }
}

/// The volume in which the web server keeps certificates.
pub(crate) fn caddy_data(platform: &Platform) -> String {
    format!("{}-data", container(platform, "caddy"))
}

fn cache(platform: &Platform) -> ContainerSpec {
    let name = container(platform, "dockerhub-cache");
    ContainerSpec {
        image: platform.images.cache.to_string(),
        env: plane::service_environment(platform, &cache_link(platform)),
        mounts: vec![
            mount(format!("{name}-config"), CONFIGURATION),
            mount(name.clone(), "/var/lib/registry"),
        ],
        limits: Some(Limits { nano_cpus: 0, memory: 512 << 20, pids: 256 }),
        confinement: service_confinement(platform, &[]),
        ..service(platform, name, "dockerhub-cache")
    }
}

fn router(platform: &Platform) -> ContainerSpec {
    let name = container(platform, ROUTER);
    let mut env = plane::service_environment(platform, &router_link(platform));
    if !platform.ssh.exempt.is_empty() {
        let exempt: Vec<String> = platform.ssh.exempt.iter().map(ToString::to_string).collect();
        env.push(format!("BERTH_SSH_EXEMPT={}", exempt.join(",")));
    }
    ContainerSpec {
        image: platform.images.router.to_string(),
        env,
        publishes: vec![Published { host: platform.ssh.port.get(), container: SSH }],
        mounts: vec![
            // Its keys and who may log in: it has no business writing there.
            Mount { read_only: true, ..mount(name.clone(), CONFIGURATION) },
            mount(format!("{name}-overflow"), "/var/tmp"),
        ],
        binds: vec![Bind { source: door(&platform.prefix), target: DOOR.to_owned() }],
        limits: Some(Limits { nano_cpus: 0, memory: 2 << 30, pids: 1024 }),
        confinement: service_confinement(platform, &[]),
        ..service(platform, name, ROUTER)
    }
}

/// The folder on the host in which the control plane listens for what the router passes on.
pub fn door(prefix: &Prefix) -> String {
    format!("{DOORS}/{prefix}")
}

/// What containers with one leg in the plane and one at the uplink have in common.
fn service(platform: &Platform, name: String, hostname: &str) -> ContainerSpec {
    ContainerSpec {
        name,
        hostname: hostname.to_owned(),
        networks: vec![external(platform)],
        ..ContainerSpec::default()
    }
}

fn service_confinement(platform: &Platform, capabilities: &[&str]) -> Confinement {
    Confinement {
        // The host's own resolver may be a private one, which its rules keep the uplink from.
        dns: platform.firewall.dns.iter().map(ToString::to_string).collect(),
        runtime: Some(RUNTIME.to_owned()),
        tmpfs: scratch(),
        // With two legs it would be a router: the way around the firewall.
        sysctls: [("net.ipv4.ip_forward".to_owned(), "0".to_owned())].into(),
        ..confined(capabilities)
    }
}

/// No capability but those named, and nothing that can be written but volumes and memory.
fn confined(capabilities: &[&str]) -> Confinement {
    Confinement {
        cap_add: capabilities.iter().map(|name| (*name).to_owned()).collect(),
        cap_drop: vec!["ALL".to_owned()],
        security_opt: vec!["no-new-privileges".to_owned()],
        read_only: true,
        stop_timeout: 5,
        ..Confinement::default()
    }
}

fn scratch() -> std::collections::BTreeMap<String, String> {
    ["/run", "/tmp"].map(|path| (path.to_owned(), "rw,nosuid,nodev,mode=1777,size=64m".to_owned())).into()
}

fn mount(volume: String, target: &str) -> Mount {
    Mount { volume, target: target.to_owned(), read_only: false }
}

fn external(platform: &Platform) -> String {
    format!("{}-external", platform.prefix)
}

fn caddy_link(platform: &Platform) -> LinkSpec {
    plane::service_link(platform, plane::CADDY, platform.networks.caddy())
}

fn router_link(platform: &Platform) -> LinkSpec {
    plane::service_link(platform, plane::ROUTER, platform.networks.router())
}

fn cache_link(platform: &Platform) -> LinkSpec {
    plane::service_link(platform, plane::CACHE, platform.networks.cache())
}

/// A container with the labels that carry its own fingerprint.
fn tagged(mut spec: ContainerSpec, platform: &Platform) -> ContainerSpec {
    spec.labels = Tag::System { spec: fingerprint(&spec) }.write(&platform.prefix);
    spec
}
