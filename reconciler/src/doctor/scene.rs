//! The scene: which addresses, links and places there are on this platform and its machine. Read only.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use berth_link::{Inside, Link};
use berth_plan::desired::uplink_bridge;
use berth_plan::{plane, spec::LinkSpec};
use berth_schema::platform::Platform;
use bollard::Docker;
use bollard::query_parameters::InspectContainerOptions;
use ipnet::Ipv4Net;
use serde::Deserialize;
use tokio::process::Command;

use super::DoctorError;
use super::attempt::Place;
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
    /// Its address on the uplink.
    pub(crate) external: Option<Ipv4Addr>,
}

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
        platform: &Platform,
        outside: Option<Outside>,
    ) -> Result<Self, DoctorError> {
        let networks = &platform.networks;
        let addresses = BTreeMap::from([
            (Place::Caddy, at(networks.users, 2)),
            (Place::Router, at(networks.users, 3)),
            (Place::Cache, at(networks.users, 4)),
        ]);
        let external = format!("{}-external", platform.prefix);
        let holder = running(docker, &plane::holder(&platform.prefix), &external).await?;
        let (holder, uplink) = holder.ok_or(DoctorError::NoPlane)?;
        let mut services = BTreeMap::new();
        for (place, end) in
            [(Place::Caddy, "caddy"), (Place::Router, "ssh-router"), (Place::Cache, "dockerhub-cache")]
        {
            let name = format!("{}-users-{end}", platform.prefix);
            if let Some((pid, external)) = running(docker, &name, &external).await? {
                let address = addresses[&place];
                services.insert(place, Service { pid, address, mac: macs(address).0, external });
            }
        }
        let machine = machine().await?;
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
            addresses,
            uplink,
            holder,
            uplink_bridge: machine.iter().find(|found| found.interface == bridge).cloned(),
            machine,
            outside,
            ports: BTreeMap::new(),
        })
    }

    /// Whether there is a witness at a place.
    pub(crate) fn has(&self, place: Place) -> bool {
        match place {
            Place::Attacker | Place::Neighbour | Place::Plane | Place::Host => true,
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

/// First process, and address in a network, of a container that runs.
async fn running(
    docker: &Docker,
    name: &str,
    network: &str,
) -> Result<Option<(u32, Option<Ipv4Addr>)>, DoctorError> {
    let call = docker.inspect_container(name, None::<InspectContainerOptions>);
    let found = match bounded(&format!("inspect container {name}"), READ_DEADLINE, call).await {
        Err(error) if error.is_missing() => return Ok(None),
        found => found?,
    };
    let pid = found.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = networks.get(network).and_then(|leg| leg.ip_address.as_deref()?.parse().ok());
    Ok(pid.filter(|pid| *pid > 0).map(|pid| (pid, address)))
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
