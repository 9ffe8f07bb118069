//! The scene: which addresses, links and places there are on this platform and its machine. Read only.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use berth_engine::{Reader, Running};
use berth_host::Way;
use berth_plan::Desired;
use berth_plan::names::{self, uplink_bridge};
use berth_schema::platform::Platform;
#[cfg(test)]
use berth_schema::{Parsed, State};
use ipnet::Ipv4Net;
use serde::Deserialize;
use tokio::process::Command;

use crate::attempt::Place;
use crate::error::DoctorError;
use crate::frame::Mac;
use crate::member::{Member, free_ids, macs};

/// Everything that attempts are made of.
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
    /// A panel's stand-in.
    pub(crate) control: Control,
    /// The ports of the machine that the platform publishes.
    pub(crate) published: Vec<u16>,
    /// Networks that servers may not reach.
    denied: Vec<Ipv4Net>,
    /// Addresses of the services, whether they run or not.
    addresses: BTreeMap<Place, Ipv4Addr>,
    /// The gateway's own address on the uplink.
    pub(crate) uplink: Option<Ipv4Addr>,
    /// The first process of the holder.
    pub(crate) holder: u32,
    pub(crate) machine: Vec<MachineAddress>,
    /// The machine's end of the uplink.
    pub(crate) uplink_bridge: Option<MachineAddress>,
    pub(crate) outside: Option<Outside>,
    /// Ports on which the witnesses listen.
    pub(crate) ports: BTreeMap<Place, u16>,
    pub(crate) counts: Counts,
}

/// Counts of the kernel: whose they are, and the limits that one user has on this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// The way in which servers that are started now are told apart; `None` where that isn't up to Berth's own runtime.
    pub(crate) way: Option<Way>,
    /// Watches of epoll.
    pub(crate) epoll: u64,
    /// Pages of pipes; 0 for no limit.
    pub(crate) pipes: u64,
}

impl Counts {
    fn look(way: Option<Way>) -> Result<Self, DoctorError> {
        Ok(Self {
            way,
            epoll: setting("/proc/sys/fs/epoll/max_user_watches")?,
            pipes: setting("/proc/sys/fs/pipe-user-pages-soft")?,
        })
    }

    /// Returns whether watches of epoll have a limit that anybody can reach.
    pub(crate) fn has_epoll_limit(&self) -> bool {
        // What `berth engine setup` asks for, which is the most that the kernel takes.
        self.epoll < 0x7fff_ffff
    }
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

/// A panel's stand-in: at the uplink, with a port that the machine publishes.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) legs: Vec<Leg>,
    /// The port on the machine.
    pub(crate) published: u16,
}

/// A leg in one of the engine's networks.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    /// The network's name without the platform's prefix.
    pub(crate) network: &'static str,
    pub(crate) address: Ipv4Addr,
    /// The machine's own address there.
    pub(crate) machine: Option<MachineAddress>,
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
    /// A website that every server may talk to.
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
    /// Reads a lab's description of it.
    pub fn read(path: &Path) -> Result<Self, DoctorError> {
        let failed = |source| DoctorError::Outside { path: path.to_owned(), source };
        let text = std::fs::read(path).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|error| failed(error.into()))
    }
}

impl Scene {
    /// Looks at the platform and the machine.
    pub(crate) async fn look(
        reader: &Reader,
        desired: &Desired,
        panel: &str,
        outside: Option<Outside>,
        way: Option<Way>,
    ) -> Result<Self, DoctorError> {
        let platform = &*desired.platform;
        let networks = &platform.networks;
        let ([attacker, neighbour], ids) = (networks.canaries(), free_ids(desired));
        let addresses = BTreeMap::from([
            (Place::Caddy, networks.caddy()),
            (Place::Router, networks.router()),
            (Place::Cache, networks.cache()),
        ]);
        let external = names::network(&platform.prefix, names::EXTERNAL);
        let holder = reader.running(&names::holder(&platform.prefix)).await?;
        let holder = holder.ok_or(DoctorError::NoPlane)?;
        let machine = machine().await?;
        let services = services(reader, platform, &addresses).await?;
        let control = control(reader, platform, panel, &machine).await?;
        let published = desired.system.iter().flat_map(|spec| &spec.publishes);
        let bridge = uplink_bridge(&platform.prefix);
        Ok(Self {
            prefix: platform.prefix.to_string(),
            subnet: networks.users,
            gateway: networks.gateway(),
            cache: networks.cache(),
            unused: Ipv4Addr::from_bits(networks.users.broadcast().to_bits() - 1),
            attacker: Member::at(networks, attacker, ids[0]),
            neighbour: Member::at(networks, neighbour, ids[1]),
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
            counts: Counts::look(way)?,
        })
    }

    /// Returns whether there is a witness at a place.
    pub(crate) fn has(&self, place: Place) -> bool {
        match place {
            Place::Attacker | Place::Neighbour | Place::Plane | Place::Host | Place::Control => true,
            Place::Outside => self.outside.is_some(),
            Place::Caddy | Place::Router | Place::Cache => self.services.contains_key(&place),
        }
    }

    /// Returns the reason for which a service can't be tried; `None` when it can.
    pub(crate) fn absence(&self, place: Place) -> Option<&'static str> {
        match place {
            _ if self.has(place) => None,
            Place::Caddy => Some("no web server runs here"),
            Place::Router => Some("no SSH router runs here in the user plane"),
            Place::Cache => Some("no image cache runs here"),
            _ => Some("there is none"),
        }
    }

    /// Returns a service's address, whether it runs or not.
    pub(crate) fn service_address(&self, place: Place) -> Ipv4Addr {
        self.addresses.get(&place).copied().unwrap_or(self.unused)
    }

    /// Returns the machine's address that is the nearest to a server.
    pub(crate) fn machine_address(&self) -> Ipv4Addr {
        let nearest = self.uplink_bridge.as_ref().or(self.machine.first());
        nearest.map_or(self.unused, |found| found.address)
    }

    /// Returns the machine's addresses that are like any other of the internet, or those that aren't.
    pub(crate) fn machine_addresses(&self, are: Reach) -> Vec<Ipv4Addr> {
        let is_denied = |address: &Ipv4Addr| self.denied.iter().any(|network| network.contains(address));
        let all = self.machine.iter().map(|found| found.address);
        all.filter(|address| is_denied(address) == (are == Reach::Private)).collect()
    }

    /// Returns the port on which the witness of a place listens.
    pub(crate) fn port(&self, place: Place) -> u16 {
        self.ports.get(&place).copied().unwrap_or_default()
    }
}

/// Finds the services that run.
async fn services(
    reader: &Reader,
    platform: &Platform,
    addresses: &BTreeMap<Place, Ipv4Addr>,
) -> Result<BTreeMap<Place, Service>, DoctorError> {
    let mut services = BTreeMap::new();
    for (place, service) in [
        (Place::Caddy, names::Service::Caddy),
        (Place::Router, names::Service::Router),
        (Place::Cache, names::Service::Cache),
    ] {
        let running = reader.running(&service.container(&platform.prefix)).await?;
        if let (Some(Running { pid, legs, .. }), Some(address)) = (running, addresses.get(&place)) {
            let (mac, others) = (macs(*address).0, legs.into_values().collect());
            services.insert(place, Service { pid, address: *address, mac, others });
        }
    }
    Ok(services)
}

/// Finds the leg of the panel's stand-in.
async fn control(
    reader: &Reader,
    platform: &Platform,
    panel: &str,
    machine: &[MachineAddress],
) -> Result<Control, DoctorError> {
    let found = reader.running(panel).await?.ok_or(DoctorError::NoPanel)?;
    let uplink = names::network(&platform.prefix, names::EXTERNAL);
    let address = *found.legs.get(&uplink).ok_or(DoctorError::NoPanel)?;
    let subnet = platform.networks.external;
    let machine = machine.iter().find(|found| subnet.contains(&found.address)).cloned();
    let legs = vec![Leg { network: names::EXTERNAL, address, machine }];
    Ok(Control { legs, published: found.published.ok_or(DoctorError::NoPanel)? })
}

/// The reach of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It is known to everybody.
    Public,
    /// It lies in a network that no server may reach.
    Private,
}

/// Lists every IPv4 address of the machine but its loopback's.
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

/// Reads a number among the kernel's settings.
fn setting(path: &str) -> Result<u64, DoctorError> {
    let failed = |why: String| DoctorError::Kernel { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    text.trim().parse().map_err(|_| failed(format!("`{}` is no number", text.trim())))
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
        let [attacker, neighbour] = platform.networks.canaries();
        let address = |end| Ipv4Addr::new(203, 0, 113, end);
        let on_machine = |interface: &str, address| MachineAddress {
            interface: interface.to_owned(),
            address,
            mac: [2; 6],
        };
        let places = [Place::Caddy, Place::Router, Place::Cache];
        let service = |address| Service { pid: 1, address, mac: macs(address).0, others: vec![address] };
        let legs = [Leg { network: names::EXTERNAL, address: address(9), machine: None }];
        Self {
            prefix: platform.prefix.to_string(),
            subnet: platform.networks.users,
            gateway: platform.networks.gateway(),
            cache: platform.networks.cache(),
            unused: address(254),
            attacker: Member::at(&platform.networks, attacker, 4094),
            neighbour: Member::at(&platform.networks, neighbour, 4093),
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
            counts: Counts { way: Some(Way::Account), epoll: 5_491_383, pipes: 16_384 },
        }
    }
}
