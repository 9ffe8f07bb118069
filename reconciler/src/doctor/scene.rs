//! The scene: which addresses, links and places there are on this platform and its machine. Read only.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use berth_link::{Inside, Link};
use berth_plan::desired::uplink_bridge;
use berth_plan::{Desired, plane, spec::LinkSpec};
use berth_schema::platform::Platform;
#[cfg(test)]
use berth_schema::{Parsed, State};
use bollard::Docker;
use bollard::query_parameters::InspectContainerOptions;
use ipnet::Ipv4Net;
use serde::Deserialize;
use tokio::process::Command;

use super::DoctorError;
use super::attempt::Place;
use super::canary::Canary;
use super::frame::Mac;
use crate::docker::{READ_DEADLINE, bounded};

/// All that the attempts are made of.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) prefix: String,
    pub(crate) subnet: Ipv4Net,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) cache: Ipv4Addr,
    /// An address that nobody has.
    pub(crate) unused: Ipv4Addr,
    pub(crate) attacker: Member,
    pub(crate) neighbour: Member,
    /// The services that run.
    pub(crate) services: BTreeMap<Place, Service>,
    /// Somebody on the control networks.
    pub(crate) control: Control,
    /// The ports of the machine that the platform publishes.
    pub(crate) published: Vec<u16>,
    /// What servers may not reach, as far as addresses tell.
    denied: Vec<Ipv4Net>,
    /// Their addresses, whether they run or not.
    addresses: BTreeMap<Place, Ipv4Addr>,
    /// The gateway's own address on the uplink.
    pub(crate) uplink: Option<Ipv4Addr>,
    /// The first process of the holder.
    pub(crate) holder: u32,
    pub(crate) machine: Vec<MachineAddress>,
    /// The machine's end of the uplink.
    pub(crate) uplink_bridge: Option<MachineAddress>,
    pub(crate) outside: Option<Outside>,
    /// Where the witnesses listen.
    pub(crate) ports: BTreeMap<Place, u16>,
}

/// A container with a link.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) link: LinkSpec,
    pub(crate) address: Ipv4Addr,
    /// The hardware address inside.
    pub(crate) mac: Mac,
    /// That of the other end, in the plane.
    pub(crate) port_mac: Mac,
}

/// One of the platform's own containers.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Its first process.
    pub(crate) pid: u32,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: Mac,
    /// Its addresses in the engine's networks.
    pub(crate) others: Vec<Ipv4Addr>,
}

/// Somebody with a leg in each control network, whose port the machine publishes: as a panel would be.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) legs: Vec<Leg>,
    /// The port on the machine.
    pub(crate) published: u16,
}

/// A leg in a control network.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    /// The network's name without the platform's prefix.
    pub(crate) network: &'static str,
    pub(crate) address: Ipv4Addr,
    /// The machine's own address there.
    pub(crate) machine: Option<MachineAddress>,
}

/// The control networks.
pub(crate) const CONTROL_NETWORKS: [&str; 2] = ["isolated-control-panel", "isolated-control-docker"];

/// An address of the machine.
#[derive(Debug, Clone)]
pub(crate) struct MachineAddress {
    pub(crate) interface: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: Mac,
}

/// An internet that is a lab's own: only there may addresses be tried that aren't the platform's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// The file of its network namespace.
    pub namespace: PathBuf,
    /// Somebody whom every server may talk to.
    pub website: Ipv4Addr,
    /// A mail server.
    pub mail: Ipv4Addr,
    /// A name of `website`.
    pub name: String,
    /// A name whose address is private.
    pub name_of_private: String,
    /// One address of each range that is denied, in the order 10/8, 172.16/12, 192.168/16, 100.64/10, 169.254/16,
    /// 192.0.0/24, 198.18/15.
    pub denied: [Ipv4Addr; 7],
}

impl Outside {
    /// Reads what a lab has written.
    pub fn read(path: &Path) -> Result<Self, DoctorError> {
        let failed = |source| DoctorError::Outside { path: path.to_owned(), source };
        let text = std::fs::read(path).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|error| failed(error.into()))
    }
}

impl Scene {
    /// Looks at the platform and the machine.
    pub(crate) async fn look(
        docker: &Docker,
        desired: &Desired,
        panel: &Canary,
        outside: Option<Outside>,
    ) -> Result<Self, DoctorError> {
        let platform = &*desired.platform;
        let networks = &platform.networks;
        let addresses = BTreeMap::from([
            (Place::Caddy, at(networks.users, 2)),
            (Place::Router, at(networks.users, 3)),
            (Place::Cache, at(networks.users, 4)),
        ]);
        let external = format!("{}-external", platform.prefix);
        let holder = running(docker, &plane::holder(&platform.prefix)).await?;
        let holder = holder.ok_or(DoctorError::NoPlane)?;
        let machine = machine().await?;
        let mut services = BTreeMap::new();
        for (place, end) in
            [(Place::Caddy, "caddy"), (Place::Router, "ssh-router"), (Place::Cache, "dockerhub-cache")]
        {
            let name = format!("{}-users-{end}", platform.prefix);
            if let Some(Running { pid, legs, .. }) = running(docker, &name).await? {
                let (address, others) = (addresses[&place], legs.into_values().collect());
                services.insert(place, Service { pid, address, mac: macs(address).0, others });
            }
        }
        let found = running(docker, &panel.name).await?.ok_or(DoctorError::NoPanel)?;
        let subnets = [networks.control_panel, networks.control_docker];
        let legs = CONTROL_NETWORKS.into_iter().zip(subnets).map(|(network, subnet)| {
            let address = *found.legs.get(&format!("{}-{network}", platform.prefix))?;
            let machine = machine.iter().find(|found| subnet.contains(&found.address)).cloned();
            Some(Leg { network, address, machine })
        });
        let legs = legs.collect::<Option<Vec<_>>>().ok_or(DoctorError::NoPanel)?;
        let control = Control { legs, published: found.published.ok_or(DoctorError::NoPanel)? };
        let published = desired.system.iter().flat_map(|spec| &spec.publishes);
        let bridge = uplink_bridge(&platform.prefix);
        Ok(Self {
            prefix: platform.prefix.to_string(),
            subnet: networks.users,
            gateway: networks.gateway(),
            cache: networks.cache(),
            unused: Ipv4Addr::from_bits(networks.users.broadcast().to_bits() - 1),
            attacker: member(platform, 14),
            neighbour: member(platform, 15),
            services,
            control,
            published: published.map(|published| published.host).collect(),
            denied: platform.firewall.denied(),
            addresses,
            uplink: holder.legs.get(&external).copied(),
            holder: holder.pid,
            uplink_bridge: machine.iter().find(|found| found.interface == bridge).cloned(),
            machine,
            outside,
            ports: BTreeMap::new(),
        })
    }

    /// Whether there is a witness at a place.
    pub(crate) fn has(&self, place: Place) -> bool {
        match place {
            Place::Attacker | Place::Neighbour | Place::Plane | Place::Host | Place::Control => true,
            Place::Outside => self.outside.is_some(),
            Place::Caddy | Place::Router | Place::Cache => self.services.contains_key(&place),
        }
    }

    /// Why a service can't be tried; `None` when it can.
    pub(crate) fn absence(&self, place: Place) -> Option<&'static str> {
        match place {
            _ if self.has(place) => None,
            Place::Caddy => Some("no web server runs here"),
            Place::Router => Some("no SSH router runs here in the user plane"),
            Place::Cache => Some("no image cache runs here"),
            _ => Some("there is none"),
        }
    }

    /// A service's address, whether it runs or not.
    pub(crate) fn service_address(&self, place: Place) -> Ipv4Addr {
        self.addresses.get(&place).copied().unwrap_or(self.unused)
    }

    /// Where the machine can be reached that is the nearest to a server.
    pub(crate) fn machine_address(&self) -> Ipv4Addr {
        let nearest = self.uplink_bridge.as_ref().or(self.machine.first());
        nearest.map_or(self.unused, |found| found.address)
    }

    /// The machine's addresses that are like any other of the internet, or those that aren't.
    pub(crate) fn machine_addresses(&self, are: Reach) -> Vec<Ipv4Addr> {
        let is_denied = |address: &Ipv4Addr| self.denied.iter().any(|network| network.contains(address));
        let all = self.machine.iter().map(|found| found.address);
        all.filter(|address| is_denied(address) == (are == Reach::Private)).collect()
    }

    /// Where the witness of a place listens.
    pub(crate) fn port(&self, place: Place) -> u16 {
        self.ports.get(&place).copied().unwrap_or_default()
    }
}

/// The address at some distance from a subnet's beginning.
fn at(subnet: Ipv4Net, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(subnet.network().to_bits() + offset)
}

fn member(platform: &Platform, number: u32) -> Member {
    let address = at(platform.networks.users, number);
    let gateway = platform.networks.gateway();
    let (mac, port_mac) = macs(address);
    let link = LinkSpec { port: format!("sc{number}"), address, gateway, destination: Ipv4Net::default() };
    Member { link, address, mac, port_mac }
}

/// The hardware addresses of a link's ends: inside, and in the plane.
fn macs(address: Ipv4Addr) -> (Mac, Mac) {
    let link = Link { port: String::new(), address, gateway: Ipv4Addr::UNSPECIFIED, inside: Inside::Only };
    (link.inside_mac(), link.port_mac())
}

/// How far an address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To everybody.
    Public,
    /// In a network that no server may reach.
    Private,
}

/// A container that runs.
struct Running {
    /// Its first process.
    pid: u32,
    /// Its addresses in the engine's networks, by their names.
    legs: BTreeMap<String, Ipv4Addr>,
    /// A port of the machine that is its own.
    published: Option<u16>,
}

/// `None`: it doesn't run, or isn't there.
async fn running(docker: &Docker, name: &str) -> Result<Option<Running>, DoctorError> {
    let call = docker.inspect_container(name, None::<InspectContainerOptions>);
    let found = match bounded(&format!("inspect container {name}"), READ_DEADLINE, call).await {
        Err(error) if error.is_missing() => return Ok(None),
        found => found?,
    };
    let pid = found.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
    let Some(pid) = pid.filter(|pid| *pid > 0) else { return Ok(None) };
    let settings = found.network_settings.unwrap_or_default();
    let legs = settings.networks.into_iter().flatten();
    let legs = legs.filter_map(|(network, leg)| Some((network, leg.ip_address?.parse().ok()?))).collect();
    let bindings = settings.ports.into_iter().flatten().filter_map(|(_, bindings)| bindings);
    let published = bindings.flatten().find_map(|binding| binding.host_port?.parse().ok());
    Ok(Some(Running { pid, legs, published }))
}

/// Every IPv4 address of the machine but its loopback's.
async fn machine() -> Result<Vec<MachineAddress>, DoctorError> {
    #[derive(Deserialize)]
    struct Interface {
        ifname: String,
        address: Option<String>,
        #[serde(default)]
        addr_info: Vec<Address>,
    }
    #[derive(Deserialize)]
    struct Address {
        local: Option<Ipv4Addr>,
    }
    let failed = |why: String| DoctorError::Machine { why };
    let ran = Command::new("ip").args(["-json", "-4", "address", "show"]).output().await;
    let ran = ran.map_err(|error| failed(format!("`ip` doesn't start: {error}")))?;
    let list: Vec<Interface> =
        serde_json::from_slice(&ran.stdout).map_err(|error| failed(format!("`ip` says: {error}")))?;
    let mut found = Vec::new();
    for interface in list {
        let mac = interface.address.as_deref().and_then(read_mac).unwrap_or_default();
        let addresses = interface.addr_info.iter().filter_map(|info| info.local);
        for address in addresses.filter(|address| !address.is_loopback()) {
            found.push(MachineAddress { interface: interface.ifname.clone(), address, mac });
        }
    }
    Ok(found)
}

fn read_mac(text: &str) -> Option<Mac> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
impl Scene {
    /// A platform with everything that there can be, of addresses for documentation.
    pub(crate) fn example() -> Self {
        let files = [Parsed::parse("platform.toml", "domain = \"example.org\"\n")];
        let platform = State::assemble(&files).expect("a platform").platform;
        let address = |end| Ipv4Addr::new(203, 0, 113, end);
        let on_machine = |interface: &str, address| MachineAddress {
            interface: interface.to_owned(),
            address,
            mac: [2; 6],
        };
        let places = [Place::Caddy, Place::Router, Place::Cache];
        let service = |address| Service { pid: 1, address, mac: macs(address).0, others: vec![address] };
        let legs = CONTROL_NETWORKS.map(|network| Leg { network, address: address(9), machine: None });
        Self {
            prefix: platform.prefix.to_string(),
            subnet: platform.networks.users,
            gateway: platform.networks.gateway(),
            cache: platform.networks.cache(),
            unused: address(254),
            attacker: member(&platform, 14),
            neighbour: member(&platform, 15),
            services: places.into_iter().map(|place| (place, service(address(2)))).collect(),
            control: Control { legs: legs.to_vec(), published: 30_000 },
            published: vec![80, 443, 10_022],
            denied: platform.firewall.denied(),
            addresses: BTreeMap::new(),
            uplink: Some(address(3)),
            holder: 1,
            machine: vec![on_machine("up0", address(1)), on_machine("docker0", Ipv4Addr::new(172, 17, 0, 1))],
            uplink_bridge: Some(on_machine("br-x", Ipv4Addr::new(10, 0, 0, 1))),
            outside: Some(Outside {
                namespace: PathBuf::new(),
                website: address(80),
                mail: address(25),
                name: "web.example.net".to_owned(),
                name_of_private: "private.example.net".to_owned(),
                denied: [Ipv4Addr::new(10, 9, 9, 9); 7],
            }),
            ports: BTreeMap::new(),
        }
    }
}
