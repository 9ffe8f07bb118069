//! One link, made whole: both ends of the veth pair with their addresses, neighbours and routes.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Result, Trying as _};
use crate::link::Link;
use crate::namespace::Namespace;
use crate::netlink::Netlink;

/// Makes a link, or makes it right. The sockets are of the plane's namespace and of the container's.
pub(crate) fn make(
    plane: &mut Netlink,
    inside: &mut Netlink,
    link: &Link,
    container: &Namespace,
) -> Result<()> {
    let there =
        is_there(plane, inside, link, container).trying(|| format!("look at the port {}", link.port))?;
    if !there {
        let mut renew = || {
            plane.remove_link(&link.port)?;
            inside.remove_link(link.inside_name())?;
            plane.make_pair(link, container)
        };
        renew().trying(|| format!("make the port {}", link.port))?;
    }
    let closed = container.run(|| close_v6(link.inside_name()));
    let closed = closed
        .and_then(|closed| closed.trying(|| format!("turn IPv6 off at the link of {} inside", link.address)));
    let made = closed
        .and_then(|()| {
            set_inside(inside, link).trying(|| format!("set up the link of {} inside", link.address))
        })
        .and_then(|()| set_outside(plane, link).trying(|| format!("set up the port {}", link.port)));
    if made.is_err() {
        // Half a link must not pass for a whole one. The first error is the one to report.
        let _ = plane.remove_link(&link.port);
    }
    made
}

/// Time to wait for the kernel to let packets through a new link. It takes milliseconds on a busy machine; a link that
/// takes longer comes up by itself, unless somebody inside has taken it down.
const PATIENCE: Duration = Duration::from_millis(500);
const GLANCE: Duration = Duration::from_millis(1);

/// Waits until the end inside sends the packets that it is given. It was up before it had its other end; until the kernel
/// has noticed that one, it throws away what a program sends, such as its first question to DNS.
pub(crate) fn settle(inside: &mut Netlink, link: &Link) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let end =
            inside.link(link.inside_name()).trying(|| format!("look at the link of {}", link.address))?;
        if end.is_none_or(|end| end.carries) || Instant::now() > until {
            return Ok(());
        }
        thread::sleep(GLANCE);
    }
}

/// Returns whether the pair is there: the port's other end lies in the container's namespace, has its name, and both have
/// their own addresses. The plane's side tells where the other end lies, since nobody in the container can write to it.
fn is_there(
    plane: &mut Netlink,
    inside: &mut Netlink,
    link: &Link,
    container: &Namespace,
) -> io::Result<bool> {
    let Some(port) = plane.link(&link.port)? else { return Ok(false) };
    let Some(end) = inside.link(link.inside_name())? else { return Ok(false) };
    let there = plane.id_of(container)?;
    Ok(there.is_some()
        && port.is_veth
        && port.peer_namespace == there
        && port.peer == Some(end.index)
        && end.peer == Some(port.index)
        && port.mac == link.port_mac()
        && end.mac == link.inside_mac())
}

/// Turns IPv6 off at the end inside, in the calling thread's namespace: the plane has none, and an interface that comes up without this
/// asks its wire for an address and for routers. Whoever is root in the container may turn it on again, and reaches nobody by it.
fn close_v6(interface: &str) -> io::Result<()> {
    match fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1") {
        // A kernel without IPv6 has nothing to turn off.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
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
