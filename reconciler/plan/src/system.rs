//! The platform's own containers: how each is made and confined. The platform's settings decide which of them run.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use berth_schema::name::Prefix;
use berth_schema::panel::PanelEdge;
use berth_schema::platform::Platform;
use berth_schema::server::Limits;

use crate::apparmor::{self, UNCONFINED};
use crate::digest::fingerprint;
use crate::label::{self, Tag};
use crate::names::{self, HOLDER, Service, assigned, variable};
use crate::plane;
use crate::program::{self, PROGRAMS, SUPERVISOR};
use crate::recipe::RUNTIME;
use crate::spec::{Bind, Confinement, ContainerSpec, LinkSpec, Mount, Published, Share, VolumeSpec};

/// Folder in which a container finds its configurations.
pub const CONFIGURATION: &str = "/etc/berth";

/// Ports that the web server answers on, inside its container.
pub(crate) const HTTP: u16 = 80;
const HTTPS: u16 = 443;
/// The port of the image cache.
pub(crate) const CACHE_PORT: u16 = 5000;
/// The port that the SSH router answers on, inside its container.
const SSH: u16 = 2222;
/// Folder in which the control plane listens for what the router passes on; each platform has a folder of its own in it.
const DOORS: &str = "/run/berth/doors";
/// Path of the folder in which the door is, in the containers of the router and of the web server.
const DOOR: &str = "/run/berth/door";
/// Folder in which the control plane tells the gate who may come in; each platform has a folder of its own in it.
const GATES: &str = "/run/berth/gates";
/// Folder in which routers take the panel's tickets; each platform has a folder of its own in it.
const TICKETS: &str = "/run/berth/tickets";
/// Folder in which Berth puts certificates and the account at the CA for the web server; each platform has a folder of its own in it.
const CERTIFICATES: &str = "/run/berth/certificates";

/// Folder in which the panel listens for what the web server passes on; each platform has a folder of its own in it.
const EDGES: &str = "/run/berth/edge";
/// Path of the platform's folder in the web server's container. The templates know it.
const EDGE: &str = "/run/berth/panel";

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
    all.into_iter().map(|spec| tagged(spec, &platform.prefix)).collect()
}

/// The links of the containers that have one, each with the container's name.
pub(crate) fn links(platform: &Platform) -> Vec<(String, LinkSpec)> {
    let mut all = Vec::new();
    if platform.services.cache {
        all.push((Service::Cache.container(&platform.prefix), cache_link(platform)));
    }
    if platform.services.web {
        all.push((Service::Caddy.container(&platform.prefix), caddy_link(platform)));
    }
    if platform.services.router {
        all.push((Service::Router.container(&platform.prefix), router_link(platform)));
    }
    all
}

/// A volume of the platform itself, which is never removed: it may hold certificates.
pub(crate) fn volume(platform: &Platform, name: &str) -> VolumeSpec {
    let mut labels = Tag::System { spec: fingerprint(&name) }.write(&platform.prefix);
    labels.insert(label::KIND.to_owned(), label::KIND_VOLUME.to_owned());
    VolumeSpec { name: name.to_owned(), labels }
}

/// Holds the network namespace that is the user plane. It outlives the processes that work in it.
fn holder(platform: &Platform) -> ContainerSpec {
    ContainerSpec {
        name: names::holder(&platform.prefix),
        image: platform.images.holder.to_string(),
        hostname: HOLDER.to_owned(),
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
        name: Service::Firewall.container(&platform.prefix),
        image: platform.images.firewall.to_string(),
        // A container that joins another's network has that one's host name.
        hostname: String::new(),
        env: vec![
            assigned(variable::GATEWAY, platform.networks.gateway()),
            assigned(variable::SUBNET, platform.networks.users),
        ],
        joins: Some(names::holder(&platform.prefix)),
        mounts: vec![mount(Service::Firewall.container(&platform.prefix), CONFIGURATION)],
        limits: Some(Limits { nano_cpus: 0, memory: 256 << 20, pids: 128 }),
        confinement: Confinement {
            // Forwarding is switched on under /proc/sys, by its owner: the mapped root.
            unmask_proc: true,
            tmpfs: scratch(),
            // The engine's AppArmor profile denies that too, and logs nothing of it.
            security_opt: vec!["no-new-privileges".to_owned(), UNCONFINED.to_owned()],
            ..confined(&["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE", "SETUID", "SETGID"])
        },
        ..ContainerSpec::default()
    }
}

fn caddy(platform: &Platform) -> ContainerSpec {
    let name = Service::Caddy.container(&platform.prefix);
    ContainerSpec {
        image: platform.images.caddy.to_string(),
        env: supervised(plane::service_environment(platform, &caddy_link(platform))),
        publishes: vec![
            Published { address: platform.web.address, host: platform.web.http_port.get(), container: HTTP },
            Published {
                address: platform.web.address,
                host: platform.web.https_port.get(),
                container: HTTPS,
            },
        ],
        mounts: vec![
            mount(format!("{name}-config"), CONFIGURATION),
            mount(caddy_data(platform), "/data"),
            programs(&name),
        ],
        binds: caddy_binds(platform),
        limits: Some(Limits { nano_cpus: 0, memory: 2 << 30, pids: 1024 }),
        confinement: service_confinement(platform, &["NET_BIND_SERVICE"]),
        ..service(platform, name, Service::Caddy)
    }
}

/// Folders of the host in the web server's container: the panel's, the gate's, and the one of certificates.
fn caddy_binds(platform: &Platform) -> Vec<Bind> {
    let bind =
        |source, target: &str| Bind { source, target: target.to_owned(), read_only: true, share: Share::Own };
    // Whoever has this folder is believed about visitors' addresses, so nobody else has it.
    let panel = platform.panel_edge() != PanelEdge::None;
    let panel = panel.then(|| bind(edge(&platform.prefix), EDGE));
    // Where nobody can sign in, the gate lets nobody in.
    let guarded = platform.panel.is_some();
    let gate = guarded.then(|| bind(gate(&platform.prefix), DOOR));
    let is_given = platform.acme.keeps_account();
    let certificates = is_given.then(|| bind(certificates(&platform.prefix), CERTIFICATES));
    panel.into_iter().chain(gate).chain(certificates).collect()
}

/// The volume in which the web server keeps certificates.
pub(crate) fn caddy_data(platform: &Platform) -> String {
    format!("{}-data", Service::Caddy.container(&platform.prefix))
}

fn cache(platform: &Platform) -> ContainerSpec {
    let name = Service::Cache.container(&platform.prefix);
    ContainerSpec {
        image: platform.images.cache.to_string(),
        env: plane::service_environment(platform, &cache_link(platform)),
        mounts: vec![
            mount(format!("{name}-config"), CONFIGURATION),
            mount(name.clone(), "/var/lib/registry"),
        ],
        limits: Some(Limits { nano_cpus: 0, memory: 512 << 20, pids: 256 }),
        confinement: service_confinement(platform, &[]),
        ..service(platform, name, Service::Cache)
    }
}

fn router(platform: &Platform) -> ContainerSpec {
    let name = Service::Router.container(&platform.prefix);
    let mut env = supervised(plane::service_environment(platform, &router_link(platform)));
    if !platform.ssh.exempt.is_empty() {
        let exempt: Vec<String> = platform.ssh.exempt.iter().map(ToString::to_string).collect();
        env.push(assigned(variable::SSH_EXEMPT, exempt.join(",")));
    }
    ContainerSpec {
        image: platform.images.router.to_string(),
        env,
        publishes: vec![Published {
            address: platform.ssh.address,
            host: platform.ssh.port.get(),
            container: SSH,
        }],
        mounts: vec![
            // Its keys and who may log in: it has no business writing there.
            Mount { read_only: true, ..mount(name.clone(), CONFIGURATION) },
            mount(format!("{name}-overflow"), "/var/tmp"),
            programs(&name),
        ],
        binds: vec![
            Bind {
                source: door(&platform.prefix),
                target: DOOR.to_owned(),
                // It connects to the socket. What it could write there would lie in the host's memory, or in the door's way.
                read_only: true,
                share: Share::Own,
            },
            Bind {
                source: tickets(&platform.prefix),
                target: TICKETS.to_owned(),
                read_only: false,
                share: Share::Panel,
            },
        ],
        limits: Some(Limits { nano_cpus: 0, memory: 2 << 30, pids: 1024 }),
        confinement: service_confinement(platform, &[]),
        ..service(platform, name, Service::Router)
    }
}

/// The folder on the host in which the control plane listens for what the router passes on.
pub fn door(prefix: &Prefix) -> String {
    format!("{DOORS}/{prefix}")
}

/// The folder on the host in which the control plane tells the gate, in the web server's container, who may come in.
pub fn gate(prefix: &Prefix) -> String {
    format!("{GATES}/{prefix}")
}

/// The folder on the host in which Berth puts certificates and the account at the CA for the web server.
pub fn certificates(prefix: &Prefix) -> String {
    format!("{CERTIFICATES}/{prefix}")
}

/// The folder on the host in which the panel listens for what the web server passes on.
pub fn edge(prefix: &Prefix) -> String {
    format!("{EDGES}/{prefix}")
}

/// The folder on the host in which the router takes the panel's tickets.
pub fn tickets(prefix: &Prefix) -> String {
    format!("{TICKETS}/{prefix}")
}

/// Common part of containers with one leg in the plane and one at the uplink.
fn service(platform: &Platform, name: String, service: Service) -> ContainerSpec {
    ContainerSpec {
        name,
        hostname: service.word().to_owned(),
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

fn scratch() -> BTreeMap<String, String> {
    ["/run", "/tmp"].map(|path| (path.to_owned(), "rw,nosuid,nodev,mode=1777,size=64m".to_owned())).into()
}

/// The volume of Berth's own programs in a container, which has no business writing there.
fn programs(container: &str) -> Mount {
    Mount { read_only: true, ..mount(program::volume(container), PROGRAMS) }
}

/// An environment in which a supervisor of today's works.
fn supervised(mut environment: Vec<String>) -> Vec<String> {
    environment.push(assigned(variable::SUPERVISOR, SUPERVISOR));
    environment
}

fn mount(volume: String, target: &str) -> Mount {
    Mount { volume, target: target.to_owned(), read_only: false }
}

fn external(platform: &Platform) -> String {
    names::network(&platform.prefix, names::EXTERNAL)
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
fn tagged(mut spec: ContainerSpec, prefix: &Prefix) -> ContainerSpec {
    spec.labels.clear();
    spec.labels = Tag::System { spec: fingerprint(&spec) }.write(prefix);
    spec
}

/// One of the platform's containers on a host that has these AppArmor profiles loaded. It is another container then, so that one that
/// was made without is made anew.
pub(crate) fn on_host<'a>(
    spec: &'a ContainerSpec,
    prefix: &Prefix,
    profiles: &BTreeSet<String>,
) -> Cow<'a, ContainerSpec> {
    let is_unconfined = spec.confinement.security_opt.iter().any(|option| option == UNCONFINED);
    if !is_unconfined || !profiles.contains(apparmor::FIREWALL) {
        return Cow::Borrowed(spec);
    }
    Cow::Owned(tagged(apparmor::confine(spec.clone(), apparmor::FIREWALL, profiles), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_firewall_runs_without_the_engine_s_apparmor_profile() {
        let plainest = berth_schema::Parsed::parse("platform.toml", "domain = \"h.org\"\n");
        let platform = &berth_schema::State::assemble(&[plainest]).unwrap().platform;
        let all = containers(platform);
        assert_eq!(all.len(), 5);
        for spec in all {
            let options = &spec.confinement.security_opt;
            assert!(options.iter().any(|option| option == "no-new-privileges"), "{}", spec.name);
            let is_unconfined = options.iter().any(|option| option == "apparmor=unconfined");
            assert_eq!(
                is_unconfined,
                spec.name == Service::Firewall.container(&platform.prefix),
                "{}",
                spec.name
            );
        }
    }
}
