//! The plane: one network namespace that every link of the user plane ends in.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;

use berth_host::FileLock;

use crate::error::{Error, Result, Trying as _};
use crate::link::Link;
use crate::namespace::Namespace;
use crate::netlink::Netlink;
use crate::pair;
use crate::registration::{self, REGISTRATIONS, Registration};

/// A plane that exists. It keeps the namespace open, so it is not for keeping: a plane whose holder has ended would live
/// on with it.
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
    /// Packets can go through: the port is switched on, and its address is routed to it.
    pub up: bool,
}

/// Settings of the plane before the first port is made. Nothing is forwarded until the firewall has its rules, and a
/// packet is taken only from the link that its source address is routed to. Forwarding comes first: the kernel changes
/// others of these together with it.
const SETTINGS: [(&str, &str); 5] = [
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/conf/all/rp_filter", "1"),
    ("net/ipv4/conf/default/rp_filter", "1"),
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
];

/// Settings of each interface of the plane. The kernel asks the interface's own as well as the one for all.
const OF_EACH: [(&str, &str); 3] =
    [("accept_redirects", "0"), ("send_redirects", "0"), ("accept_source_route", "0")];

/// Number of links in a batch, after which the lock is free for a moment: a container that starts must not wait for all
/// of them.
const BATCH: usize = 50;

impl Plane {
    /// The plane that is registered for a prefix. `None` when there is none, or its holder has ended.
    pub fn registered(prefix: &str) -> Result<Option<Self>> {
        Self::registered_in(Path::new(REGISTRATIONS), prefix)
    }

    /// Like [`Plane::registered`], with another folder of registrations.
    pub fn registered_in(folder: &Path, prefix: &str) -> Result<Option<Self>> {
        let Some(found) = Registration::read(folder, prefix)? else { return Ok(None) };
        let Some(namespace) = Namespace::of_living_process(found.pid)? else { return Ok(None) };
        // Between the reading and the opening the process may have ended, and its id may be another's.
        let same = found.holds() && namespace.inode() == found.namespace;
        Ok(same.then(|| Self { namespace, prefix: prefix.to_owned(), folder: folder.to_owned() }))
    }

    /// Makes the namespace of a process the plane: the gateway's address, closed settings, and the registration.
    ///
    /// For a holder that starts: nothing is forwarded until the firewall has loaded its rules. A namespace that is
    /// registered as this plane already is left as it is.
    pub fn prepare(prefix: &str, pid: u32, gateway: Ipv4Addr) -> Result<Self> {
        Self::prepare_in(Path::new(REGISTRATIONS), prefix, pid, gateway)
    }

    /// Like [`Plane::prepare`], with another folder of registrations.
    pub fn prepare_in(folder: &Path, prefix: &str, pid: u32, gateway: Ipv4Addr) -> Result<Self> {
        let _lock = registration::lock(folder, prefix)?;
        let namespace = Namespace::of_process(pid)?;
        refuse_own(&namespace)?;
        let registered = Self::registered_in(folder, prefix)?;
        if let Some(plane) = registered.filter(|plane| plane.inode() == namespace.inode()) {
            return Ok(plane);
        }
        namespace.run(|| {
            close().trying(|| "write the plane's settings".to_owned())?;
            let mut netlink = Netlink::open().trying(|| "open a netlink socket".to_owned())?;
            let mut own = || {
                let loopback = netlink.link("lo")?.ok_or(io::ErrorKind::NotFound)?;
                netlink.set_up(loopback.index, false)?;
                netlink.set_address(loopback.index, gateway)
            };
            own().trying(|| format!("give the plane the address {gateway}"))
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

    /// Its namespace, for work that is done inside.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns whether a process is in the plane, as the firewall's must be. A process that has ended is nowhere.
    pub fn is_joined_by(&self, pid: u32) -> Result<bool> {
        let namespace = Namespace::of_living_process(pid)?;
        Ok(namespace.is_some_and(|namespace| namespace.inode() == self.inode()))
    }

    /// Links a container's namespace to the plane. A link that is there and right stays, and its packets go on; a wrong
    /// one is made anew. A link that could not be made as a whole is taken away again. Packets go through when this
    /// returns.
    pub fn connect(&self, link: &Link, container: &Namespace) -> Result<()> {
        let mut plane = socket_in(&self.namespace)?;
        let mut inside = {
            let _lock = self.lock()?;
            self.make(&mut plane, link, container)?
        };
        pair::settle(&mut inside, link)
    }

    /// Links many containers, each by the id of its first process, as fast as the kernel does it. One that fails stops no
    /// other; the results are in the order of the links. The first packets of the last ones may still be lost. Whoever
    /// names a process must be sure that it lives.
    pub fn connect_many(&self, links: &[(Link, u32)]) -> Result<Vec<Result<()>>> {
        let mut plane = socket_in(&self.namespace)?;
        let mut results = Vec::with_capacity(links.len());
        for batch in links.chunks(BATCH) {
            if !results.is_empty() {
                thread::sleep(FileLock::GLANCE * 2);
            }
            let _lock = self.lock()?;
            results.extend(batch.iter().map(|(link, pid)| {
                let container = Namespace::of_process(*pid)?;
                self.make(&mut plane, link, &container).map(drop)
            }));
        }
        Ok(results)
    }

    /// Removes a port, and with it the link. A port that is not there is removed already.
    pub fn disconnect(&self, port: &str) -> Result<()> {
        let _lock = self.lock()?;
        socket_in(&self.namespace)?.remove_link(port).trying(|| format!("remove the port {port}"))
    }

    /// The ports there are, sorted by name.
    pub fn ports(&self) -> Result<Vec<Port>> {
        let mut netlink = socket_in(&self.namespace)?;
        let links = netlink.links().trying(|| "list the plane's ports".to_owned())?;
        let routed = netlink.routed().trying(|| "list the plane's routes".to_owned())?;
        let veths = links.into_iter().filter(|link| link.is_veth && !link.is_leg());
        let mut ports: Vec<Port> = veths
            .map(|link| {
                let address = link.address();
                let is_routed = address.is_some_and(|address| routed.contains(&(address, link.index)));
                Port { address, up: link.is_up && is_routed, name: link.name }
            })
            .collect();
        ports.sort();
        Ok(ports)
    }

    fn lock(&self) -> Result<FileLock> {
        registration::lock(&self.folder, &self.prefix)
    }

    /// Makes a link, and returns the socket in the container's namespace.
    fn make(&self, plane: &mut Netlink, link: &Link, container: &Namespace) -> Result<Netlink> {
        refuse_own(container)?;
        if container.inode() == self.inode() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is the plane's own");
            return Err(Error::new("link a container's namespace to the plane", error));
        }
        let mut inside = socket_in(container)?;
        pair::make(plane, &mut inside, link, container)?;
        Ok(inside)
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

/// Writes the settings of the thread's own namespace, which `/proc/sys/net` shows.
fn close() -> io::Result<()> {
    let root = Path::new("/proc/sys");
    for (path, value) in SETTINGS {
        match fs::write(root.join(path), value) {
            // A kernel without IPv6 has nothing to turn off.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.starts_with("net/ipv6") => {}
            written => written?,
        }
    }
    // `all`, `default`, and the legs that the engine made before.
    for interface in fs::read_dir(root.join("net/ipv4/conf"))? {
        let interface = interface?.path();
        for (name, value) in OF_EACH {
            fs::write(interface.join(name), value)?;
        }
    }
    Ok(())
}
