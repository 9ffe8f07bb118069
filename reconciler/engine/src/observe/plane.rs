//! The user plane, as the kernel shows it: the links that end in it, the containers that work in it, and the rules and
//! names that its gateway works by.

use std::path::{Path, PathBuf};

use berth_link::Plane;
use berth_plan::digest::digest;
use berth_plan::label::Tag;
use berth_plan::names::{Service, holder};
use berth_plan::observed::{ObservedContainer, ObservedGateway, ObservedPlane, RunState};
use berth_schema::name::Prefix;
use tokio::process::Command;

use super::error::ObserveError;
use super::reader::Reader;
use crate::api::first_process;
use crate::host::{HostError, on_plane, output};
use crate::volume_file::VolumeFile;

/// Folder in which the gateway's container says what it has done (templates/firewall/lib/start).
const RUN: &str = "run/berth";
/// File that is there once it has loaded what was confirmed.
const READY: &str = "ready";
/// Copy of the configuration that its resolver has read.
const STARTED: &str = "dnsmasq.started";
/// No configuration of a resolver is longer.
const LENGTH_MAX: u64 = 1 << 20;

/// Lists everything that decides over packets in a network namespace: the rules, those of IPv6, and whether anything is
/// forwarded.
/// The gateway's own `iptables` is the one of nftables, whatever the host's default is.
const LIST: &str = "iptables-nft-save && { [ ! -e /proc/net/if_inet6 ] || ip6tables-nft-save -t filter; } && \
                    echo \"forwarding $(cat /proc/sys/net/ipv4/ip_forward)\"";

impl Reader {
    /// Looks at the plane of a platform; `None` while its holder doesn't run, or nobody knows where it is.
    pub(super) async fn plane(
        &self,
        platform: &Prefix,
        containers: &[ObservedContainer],
    ) -> Result<Option<ObservedPlane>, ObserveError> {
        let holder = holder(platform);
        let is_ours = |container: &&ObservedContainer| {
            matches!(container.tag, Some(Tag::System { .. })) && container.state.has_namespaces()
        };
        let ours: Vec<&ObservedContainer> = containers.iter().filter(is_ours).collect();
        if !ours.iter().any(|container| container.name == holder) {
            return Ok(None);
        }
        let gateway = Service::Firewall.container(platform);
        let mut gateway_process = None;
        // Asked for at every look: a process id that was remembered may be another process's by now.
        let mut processes = Vec::new();
        for container in ours.iter().filter(|container| container.name != holder) {
            if let Some(pid) = first_process(&self.docker, &container.id, &container.name).await? {
                // What a frozen gateway works by is seen once it goes on.
                if container.name == gateway && container.state == RunState::Running {
                    gateway_process = Some((container.id.clone(), pid));
                }
                processes.push((container.id.clone(), pid));
            }
        }
        let prefix = platform.to_string();
        let act = format!("look at the user plane of {platform}");
        let found = on_plane(act, move || look(&prefix, &processes)).await?;
        let Some(mut plane) = found else { return Ok(None) };
        if let Some((id, pid)) = gateway_process
            && plane.joined.contains(&id)
        {
            plane.gateway = works_by(pid).await?;
        }
        Ok(Some(plane))
    }
}

fn look(prefix: &str, processes: &[(String, u32)]) -> berth_link::Result<Option<ObservedPlane>> {
    let Some(plane) = Plane::registered(prefix)? else { return Ok(None) };
    let ports = plane.ports()?.into_iter().filter(|port| port.up);
    let mut joined = std::collections::BTreeSet::new();
    for (id, pid) in processes {
        if plane.is_joined_by(*pid)? {
            joined.insert(id.clone());
        }
    }
    Ok(Some(ObservedPlane {
        ports: ports.filter_map(|port| Some((port.name, port.address?))).collect(),
        joined,
        gateway: None,
    }))
}

/// Returns the rules and names that the gateway with this first process works by; `None` while it hasn't loaded what was
/// confirmed, or has ended.
async fn works_by(pid: u32) -> Result<Option<ObservedGateway>, HostError> {
    // The container could make these lead elsewhere. All that comes of it is a digest that isn't the expected one.
    let folder = PathBuf::from(format!("/proc/{pid}/root")).join(RUN);
    let file = |name: &str| {
        let file = VolumeFile::new(&folder, name);
        match file.read_at_most(LENGTH_MAX) {
            Err(_) if has_ended(pid) => Ok(None),
            read => read.map_err(HostError::on_file("read", file.path())),
        }
    };
    if file(READY)?.is_none() {
        return Ok(None);
    }
    let resolver = file(STARTED)?.map(|text| digest(&text));
    match listed_rules(pid).await {
        Ok(rules) => Ok(Some(ObservedGateway { rules: digest(rules.as_bytes()), resolver })),
        Err(_) if has_ended(pid) => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_ended(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}/ns/net")).exists()
}

/// Lists the rules in force in the network namespace of a process, without counters and without anything that comes and
/// goes by itself.
pub(crate) async fn listed_rules(pid: u32) -> Result<String, HostError> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).args(["sh", "-c", LIST]);
    let saved = output("list the gateway's rules (`iptables-nft-save`)", &mut command).await?;
    Ok(canonical(&saved))
}

/// Returns the lines of a listing that count, in an order that says nothing.
fn canonical(saved: &str) -> String {
    let mut text = String::new();
    let mut table: Option<(&str, Vec<(&str, &str)>)> = None;
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            // Others are none of the gateway's business.
            table = ["raw", "nat", "filter"].contains(&name).then(|| (name, Vec::new()));
        } else if line == "COMMIT" {
            if let Some((name, mut rules)) = table.take() {
                // Chains are listed in the order in which they were made; rules keep theirs.
                rules.sort_by_key(|(chain, _)| *chain);
                text.extend(["*", name, "\n"]);
                rules.iter().for_each(|(_, rule)| text.extend([rule, "\n"]));
            }
        } else if let Some(rule) = rule(line) {
            if let Some((_, rules)) = &mut table {
                rules.push(rule);
            }
        } else if line.starts_with("forwarding ") {
            text.extend([line, "\n"]);
        }
    }
    text
}

/// Returns a line that counts, with the chain that it is about.
fn rule(line: &str) -> Option<(&str, &str)> {
    // The engine's own resolver, which it gives every container with a network, and which nobody uses here.
    if line.contains("DOCKER_") {
        return None;
    }
    if let Some(declared) = line.strip_prefix(':') {
        let (chain, rest) = declared.split_once(' ')?;
        // A chain of the kernel's that lets everything through is as good as none.
        let counts = !chain.starts_with('.') && !rest.starts_with("ACCEPT");
        return counts.then(|| (chain, line.split(" [").next().unwrap_or(line)));
    }
    let (chain, _) = line.strip_prefix("-A ")?.split_once(' ')?;
    // Rules that are only being checked lie in chains that no packet comes through (templates/firewall/lib/scratch).
    (!chain.starts_with('.')).then_some((chain, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "# Generated by iptables-nft-save v1.8.9\n*mangle\n:POSTROUTING ACCEPT [0:0]\n\
        -A POSTROUTING -o s+\nCOMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o eth+ -j MASQUERADE\nCOMMIT\n\
        *filter\n:INPUT DROP [12:34]\n:FORWARD DROP [0:0]\n:SERVER - [0:0]\n:DENIED - [0:0]\n\
        :berth.0123456789abcdef0123 - [0:0]\n-A FORWARD -i s+ -g SERVER\n-A SERVER -j DROP\n-A SERVER -j ACCEPT\nCOMMIT\n\
        forwarding 1\n";

    #[test]
    fn what_comes_and_goes_does_not_count() {
        let as_it_was = canonical(SAVED);
        for (what, with) in [
            ("[12:34]", "[56:78]"),
            ("v1.8.9", "v1.8.10"),
            ("-A POSTROUTING -o s+\n", ""),
            (":SERVER - [0:0]\n:DENIED - [0:0]\n", ":DENIED - [0:0]\n:SERVER - [0:0]\n"),
            ("*filter\n", "*filter\n:.SERVER - [0:0]\n-A .SERVER -j DROP\n"),
            (
                "*nat\n",
                "*nat\n:OUTPUT ACCEPT [0:0]\n:DOCKER_OUTPUT - [0:0]\n-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT\n",
            ),
        ] {
            assert_eq!(canonical(&SAVED.replace(what, with)), as_it_was, "{what}");
        }
    }

    #[test]
    fn whatever_decides_over_a_packet_counts() {
        let as_it_was = canonical(SAVED);
        for (what, with) in [
            (":FORWARD DROP", ":FORWARD ACCEPT"),
            ("-A FORWARD -i s+ -g SERVER\n", ""),
            ("-A SERVER -j DROP\n-A SERVER -j ACCEPT\n", "-A SERVER -j ACCEPT\n-A SERVER -j DROP\n"),
            ("-A POSTROUTING -o eth+ -j MASQUERADE\n", ""),
            ("berth.0", "berth.1"),
            ("forwarding 1", "forwarding 0"),
        ] {
            let other = SAVED.replace(what, with);
            assert!(other != SAVED && canonical(&other) != as_it_was, "{what}");
        }
    }
}
