//! Gathering facts. Reads files of the kernel's and the host's, asks the engine and programs that only tell, and changes nothing.

mod disks;
mod file;
mod listeners;

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use berth_engine::{Connection, Reader, Swarm, connect};
use berth_fault::chain;
use berth_host::{cgroup, has_apparmor, process};
use berth_plan::names::Service;
use berth_schema::State;
use berth_schema::name::Prefix;
use berth_schema::platform::Platform;

use file::text;

use super::facts::{AppArmor, Cgroups, Clock, Engine, HostFacts, Low, Name, Port, Program};
use crate::settings::Settings;
use crate::setup::keys::QUOTAS;
use crate::setup::settings::{MergeError, merge};
use crate::setup::{Needs, apparmor, lacks};

/// The file of the engine's settings.
const ENGINE_SETTINGS: &str = "/etc/docker/daemon.json";
/// The folder of the engine's data, where it doesn't say so itself.
const ENGINE_FOLDER: &str = "/var/lib/docker";
/// The list of a container's packages.
const PACKAGES: &str = "var/lib/dpkg/status";
/// Longer lists aren't read.
const PACKAGES_MAX: u64 = 16 << 20;
/// Time that a program may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Programs that Berth calls on a host.
const PROGRAMS: [Program; 4] = [
    Program { name: "docker", package: "docker-cli", without: "`make up` and people reach the engine by it" },
    Program { name: "git", package: "git", without: "the state repo is read and served by it" },
    Program {
        name: "iptables-nft-save",
        package: "iptables",
        without: "the host's own ports can't be closed to servers",
    },
    Program { name: "runc", package: "runc", without: "no server starts" },
];

/// Settings that keep ordinary users from making user namespaces, and the value with which they do: Debian's kernel, and Ubuntu's.
const NO_NAMESPACES: [(&str, &str); 2] =
    [("kernel.unprivileged_userns_clone", "0"), ("kernel.apparmor_restrict_unprivileged_userns", "1")];

/// The platform as far as a check-up needs it: its state, or what it is by default before there is one.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The state; `None` before there is one, or while it has mistakes.
    pub state: Option<&'a State>,
    /// Finds the addresses of a name, and whether each leads here.
    pub lookup: &'a dyn Lookup,
}

/// A way to look names up.
pub trait Lookup: std::fmt::Debug {
    /// Addresses of a name, and whether each leads here; or why they can't be had.
    fn addresses(&self, state: &State, name: &str) -> Result<Vec<(IpAddr, bool)>, String>;
}

/// Reads everything. What can't be read is told as such.
pub async fn read(settings: &Settings, runtime: &Path, wanted: Wanted<'_>) -> HostFacts {
    let needs = Needs::new(runtime);
    let connected = connect(&settings.docker).await;
    let (connection, engine) = match connected {
        Ok((connection, facts)) => {
            let lacks = lacks(&facts, &needs).iter().map(ToString::to_string).collect();
            (Some(connection), Engine::Running { facts: Box::new(facts), lacks })
        }
        Err(_) if process::installed("dockerd").is_none() => (None, Engine::Absent),
        Err(error) => (None, Engine::Silent(chain(&error))),
    };
    let (root, swarm) = match &engine {
        Engine::Running { facts, .. } => (facts.root.clone(), facts.swarm),
        _ => (PathBuf::from(ENGINE_FOLDER), Swarm::Inactive),
    };
    let servers = wanted.state.map_or(0, |state| state.servers.len());
    let memory = memory(&text("/proc/meminfo"));
    HostFacts {
        system: system(&text("/etc/os-release")),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        is_root: rustix::process::geteuid().is_root(),
        cgroups: cgroups(),
        apparmor: profiles(),
        missing: missing_programs(),
        conflicts: conflicts(&needs, swarm),
        client: said("docker", &["--version"]).and_then(|said| client(&said)),
        caddy: caddy(connection.as_ref(), wanted.state).await,
        ports: ports(connection.as_ref(), wanted.state).await,
        name: wanted.state.map(|state| name(state, wanted.lookup)),
        clock: clock(said("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).as_deref()),
        disks: disks::read(&root, &[&settings.state, &settings.data]),
        low: low(servers),
        no_namespaces: no_namespaces(),
        memory: memory.0,
        swap: memory.1,
        engine,
    }
}

/// Words of a program that succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let ran = process::run(Command::new(process::installed(program)?).args(arguments), &[], ANSWER).ok()?;
    ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

/// The distribution's name for itself, of os-release(5).
fn system(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// The version of `Docker version 20.10.24+dfsg1, build 297e128`.
fn client(said: &str) -> Option<String> {
    let version = said.strip_prefix("Docker version ")?;
    Some(version.split([',', ' ']).next()?.to_owned())
}

/// Bytes of memory and of swap, of proc_meminfo(5).
fn memory(meminfo: &str) -> (Option<u64>, u64) {
    let bytes = |key: &str| {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    };
    (bytes("MemTotal"), bytes("SwapTotal").unwrap_or(0))
}

fn profiles() -> AppArmor {
    let (missing, unread) = match apparmor::missing() {
        Ok(missing) => (missing.iter().map(|profile| profile.name).collect(), None),
        Err(error) => (Vec::new(), Some(chain(&error))),
    };
    let has_parser = process::installed(apparmor::PARSER).is_some();
    AppArmor { is_enabled: has_apparmor(), has_parser, missing, unread }
}

fn cgroups() -> Cgroups {
    let mounts = cgroup::hierarchies(&text("/proc/self/mountinfo"));
    let v1: BTreeSet<String> =
        mounts.iter().flat_map(|mount| mount.controllers.clone().unwrap_or_default()).collect();
    // Not every mount of version 1 has a controller: systemd has one for its own bookkeeping.
    if ["cpu", "memory", "pids"].iter().any(|controller| v1.contains(*controller)) {
        return Cgroups::V1(v1);
    }
    match mounts.iter().find(|mount| mount.controllers.is_none()) {
        Some(mount) => {
            let listed = text(mount.mount_point.join("cgroup.controllers"));
            Cgroups::V2(listed.split_whitespace().map(str::to_owned).collect())
        }
        None => Cgroups::None,
    }
}

fn missing_programs() -> Vec<Program> {
    PROGRAMS.into_iter().filter(|program| process::installed(program.name).is_none()).collect()
}

/// Reasons for which `berth engine setup` would change nothing.
fn conflicts(needs: &Needs, swarm: Swarm) -> Vec<String> {
    let found = match fs::read_to_string(ENGINE_SETTINGS) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return vec![format!("cannot read {ENGINE_SETTINGS}: {error}")],
    };
    match merge(found.as_deref(), needs, swarm) {
        Ok(_) => Vec::new(),
        Err(MergeError::Conflicts(all)) => {
            all.iter().map(|one| format!("{ENGINE_SETTINGS}: {one}")).collect()
        }
        Err(error) => vec![format!("{ENGINE_SETTINGS}: {}", chain(&error))],
    }
}

fn low(servers: usize) -> Vec<Low> {
    let of_each = QUOTAS.iter().filter_map(|quota| {
        let found = text(quota.file());
        Some(Low { quota, least: quota.wanted(&found, servers)?, found })
    });
    of_each.collect()
}

fn no_namespaces() -> Vec<&'static str> {
    let keeps = |(sysctl, value): &(&str, &str)| {
        text(Path::new("/proc/sys").join(sysctl.replace('.', "/"))).trim() == *value
    };
    NO_NAMESPACES.into_iter().filter(keeps).map(|(sysctl, _)| sysctl).collect()
}

fn clock(said: Option<&str>) -> Clock {
    match said {
        Some("yes") => Clock::Synchronised,
        Some("no") => Clock::Alone,
        _ => Clock::Unknown,
    }
}

fn name(state: &State, lookup: &dyn Lookup) -> Name {
    let name = state.platform.domain.to_string();
    Name { records: lookup.addresses(state, &name), name }
}

/// The version of Caddy in the platform's web server, by the packages of its image.
async fn caddy(connection: Option<&Connection>, state: Option<&State>) -> Option<String> {
    let container = Service::Caddy.container(&state?.platform.prefix);
    let running = Reader::new(connection?).running(&container).await.ok()??;
    let list = PathBuf::from(format!("/proc/{}/root", running.pid)).join(PACKAGES);
    let list = berth_host::file::read_foreign(&list, PACKAGES_MAX).ok()?;
    package(&String::from_utf8_lossy(&list), "caddy")
}

/// The version of a package, in dpkg's list.
fn package(list: &str, name: &str) -> Option<String> {
    let own = format!("Package: {name}");
    let entry = list.split("\n\n").find(|entry| entry.lines().any(|line| line == own))?;
    entry.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned)
}

/// The ports of a platform, and who has each.
async fn ports(connection: Option<&Connection>, state: Option<&State>) -> Vec<Port> {
    let wanted = match state {
        Some(state) => ports_of(&state.platform),
        None => USUAL_PORTS.to_vec(),
    };
    let prefix: Option<&Prefix> = state.map(|state| &state.platform.prefix);
    let published = match connection {
        // An engine that can't list its containers is told of elsewhere.
        Some(connection) => Reader::new(connection).published().await.unwrap_or_default(),
        None => Default::default(),
    };
    let listeners = listeners::read();
    let port = |(place, used_by, field): Use| {
        let number = place.port();
        let held = listeners::held(place, prefix, &published, &listeners);
        Port { number, used_by, field, held }
    };
    wanted.into_iter().map(port).collect()
}

/// A place at which the platform listens, what it is for, and the field that chooses another port.
type Use = (SocketAddr, &'static str, &'static str);

/// Those that a platform has unless its state says otherwise.
const USUAL_PORTS: [Use; 4] = [
    (everywhere(80), "the web server", "web.http_port"),
    (everywhere(443), "the web server", "web.https_port"),
    (everywhere(10_022), "SSH to servers", "ssh.port"),
    (everywhere(8443), "the panel", "panel.port"),
];

const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

fn ports_of(platform: &Platform) -> Vec<Use> {
    let [http, https, ssh, panel] = USUAL_PORTS;
    let at = |address: Option<IpAddr>, port: NonZeroU16, (usual, used_by, field): Use| -> Use {
        (SocketAddr::new(address.unwrap_or(usual.ip()), port.get()), used_by, field)
    };
    let mut ports = Vec::new();
    if platform.services.web {
        let address = platform.web.address.map(IpAddr::from);
        ports.push(at(address, platform.web.http_port, http));
        ports.push(at(address, platform.web.https_port, https));
    }
    if platform.services.router {
        ports.push(at(platform.ssh.address.map(IpAddr::from), platform.ssh.port, ssh));
    }
    if let Some(found) = &platform.panel {
        ports.push(at(found.address, found.port, panel));
    }
    ports
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
