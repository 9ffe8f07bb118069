//! The plane: one network namespace that every link of the user plane ends in.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Trying as _};
use crate::link::Link;
use crate::namespace::Namespace;
use crate::netlink::Netlink;
use crate::registration::{Lock, REGISTRATIONS, Registration};

/// A plane that exists.
#[derive(Debug)]
pub struct Plane {
    namespace: Namespace,
    prefix: String,
    folder: PathBuf,
}

/// The end of a link that lies in the plane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its name, such as `s3`.
    pub name: String,
    /// The address of the container behind it, when the port is one that this crate made.
    pub address: Option<Ipv4Addr>,
    /// Whether packets can go through.
    pub up: bool,
}

/// What holds for the plane before the first port is made. Nothing is forwarded until the firewall has its rules, and a
/// packet is taken only from the link that its source address is routed to.
const SETTINGS: [(&str, &str); 10] = [
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/conf/all/rp_filter", "1"),
    ("net/ipv4/conf/default/rp_filter", "1"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_source_route", "0"),
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
];

impl Plane {
    /// The plane that is registered for a prefix. `None` when there is none, or its holder has ended.
    pub fn registered(prefix: &str) -> Result<Option<Self>> {
        Self::registered_in(Path::new(REGISTRATIONS), prefix)
    }

    /// Like [`Plane::registered`], with another folder of registrations.
    pub fn registered_in(folder: &Path, prefix: &str) -> Result<Option<Self>> {
        let Some(found) = Registration::read(folder, prefix)? else { return Ok(None) };
        let namespace = Namespace::of_process(found.pid)?;
        // Between the reading and the opening the process may have ended, and its id may be another's.
        let same = namespace.inode() == found.namespace;
        Ok(same.then(|| Self { namespace, prefix: prefix.to_owned(), folder: folder.to_owned() }))
    }

    /// Makes the namespace of a process the plane: the gateway's address, closed settings, and the registration.
    /// Doing it again changes nothing, except that forwarding is off until the firewall is loaded.
    pub fn prepare(prefix: &str, pid: u32, gateway: Ipv4Addr) -> Result<Self> {
        Self::prepare_in(Path::new(REGISTRATIONS), prefix, pid, gateway)
    }

    /// Like [`Plane::prepare`], with another folder of registrations.
    pub fn prepare_in(folder: &Path, prefix: &str, pid: u32, gateway: Ipv4Addr) -> Result<Self> {
        let _lock = Lock::take(folder, prefix)?;
        let namespace = Namespace::of_process(pid)?;
        refuse_own(&namespace)?;
        namespace.run(|| {
            close().trying(|| "write the plane's settings".to_owned())?;
            let mut netlink = Netlink::open().trying(|| "open a netlink socket".to_owned())?;
            let own = || {
                let loopback = netlink.link("lo")?.ok_or(io::ErrorKind::NotFound)?;
                netlink.set_up(loopback.index, false)?;
                netlink.set_address(loopback.index, gateway)
            };
            { own }().trying(|| format!("give the plane the address {gateway}"))
        })??;
        Registration::of_process(pid)?.write(folder, prefix)?;
        Ok(Self { namespace, prefix: prefix.to_owned(), folder: folder.to_owned() })
    }

    /// Takes the registration of a prefix away, when the platform is taken down.
    pub fn forget(prefix: &str) -> Result<()> {
        Registration::remove(Path::new(REGISTRATIONS), prefix)
    }

    /// The number of its namespace.
    pub fn inode(&self) -> u64 {
        self.namespace.inode()
    }

    /// Links a container's namespace to the plane. What is there already and is right stays: packets go on; what is
    /// wrong is made anew.
    pub fn connect(&self, link: &Link, container: &Namespace) -> Result<()> {
        refuse_own(container)?;
        if container.inode() == self.namespace.inode() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is the plane's own");
            return Err(Error::new("link a container's namespace to the plane", error));
        }
        let _lock = Lock::take(&self.folder, &self.prefix)?;
        let mut plane = socket_in(&self.namespace)?;
        let mut inside = socket_in(container)?;
        if !has(&mut plane, &mut inside, link, container)
            .trying(|| format!("look at the port {}", link.port))?
        {
            let mut make = || {
                plane.remove_link(&link.port)?;
                inside.remove_link(link.inside_name())?;
                plane.make_pair(link, container)
            };
            make().trying(|| format!("make the port {}", link.port))?;
        }
        set_inside(&mut inside, link).trying(|| format!("set up the link of {} inside", link.address))?;
        set_outside(&mut plane, link).trying(|| format!("set up the port {}", link.port))
    }

    /// Removes a port, and with it the link. A port that is not there is removed already.
    pub fn disconnect(&self, port: &str) -> Result<()> {
        let _lock = Lock::take(&self.folder, &self.prefix)?;
        socket_in(&self.namespace)?.remove_link(port).trying(|| format!("remove the port {port}"))
    }

    /// The ports there are, sorted by name.
    pub fn ports(&self) -> Result<Vec<Port>> {
        let links = socket_in(&self.namespace)?.links().trying(|| "list the plane's ports".to_owned())?;
        let veths = links.into_iter().filter(|link| link.is_veth && !link.is_leg());
        let mut ports: Vec<Port> = veths
            .map(|link| Port { address: link.address(), up: link.is_up, name: link.name })
            .collect();
        ports.sort();
        Ok(ports)
    }
}

/// A plane is never the namespace of the caller: a wrong process id would take the host's own network apart.
fn refuse_own(namespace: &Namespace) -> Result<()> {
    if namespace.inode() != Namespace::current()?.inode() {
        return Ok(());
    }
    let error = io::Error::new(io::ErrorKind::InvalidInput, "it is the host's own");
    Err(Error::new("use a network namespace for the user plane", error))
}

fn socket_in(namespace: &Namespace) -> Result<Netlink> {
    namespace.run(Netlink::open)?.trying(|| "open a netlink socket".to_owned())
}

/// What `/proc/sys/net` shows depends on the thread's namespace.
fn close() -> io::Result<()> {
    for (path, value) in SETTINGS {
        match fs::write(Path::new("/proc/sys").join(path), value) {
            // A kernel without IPv6 has nothing to turn off.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.starts_with("net/ipv6") => {}
            written => written?,
        }
    }
    Ok(())
}

/// Whether the link is there: the port's other end lies in the container's namespace, and has its name. Asked of the
/// plane's side, which nobody in the container can write to.
fn has(
    plane: &mut Netlink,
    inside: &mut Netlink,
    link: &Link,
    container: &Namespace,
) -> io::Result<bool> {
    let Some(port) = plane.link(&link.port)? else { return Ok(false) };
    let there = plane.id_of(container)?;
    let Some(end) = inside.link(link.inside_name())? else { return Ok(false) };
    Ok(there.is_some()
        && port.peer_namespace == there
        && port.peer == Some(end.index)
        && end.peer == Some(port.index)
        && port.mac == link.port_mac())
}

fn set_inside(inside: &mut Netlink, link: &Link) -> io::Result<()> {
    let end = inside.link(link.inside_name())?.ok_or(io::ErrorKind::NotFound)?;
    inside.set_address(end.index, link.address)?;
    inside.set_up(end.index, false)?;
    inside.set_neighbour(end.index, link.gateway, link.port_mac())?;
    inside.set_route(end.index, (link.gateway, 32), None)?;
    inside.set_route(end.index, link.destination(), Some(link.gateway))
}

fn set_outside(plane: &mut Netlink, link: &Link) -> io::Result<()> {
    let port = plane.link(&link.port)?.ok_or(io::ErrorKind::NotFound)?;
    // Without ARP the plane learns nothing from what comes out of a container; the neighbour is fixed.
    plane.set_up(port.index, true)?;
    plane.set_neighbour(port.index, link.address, link.inside_mac())?;
    plane.set_route(port.index, (link.address, 32), None)
}
