//! Links between real network namespaces, each held by a process of its own. Needs root, `unshare`, `ip` and a busybox.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests say what they expect, and how long something took or why it did not run"
)]

mod ground;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use berth_link::{Inside, Plane, Port};
use ground::{GATEWAY, Ground, Space, busybox, link_of, may_test, until};

const DEADLINE: Duration = Duration::from_secs(5);

#[test]
fn a_link_carries_packets_and_is_the_default_route() {
    may_test!();
    let ground = Ground::new();
    let (server, link) = (Space::new(), link_of(1));
    ground.plane.connect(&link, &server.namespace()).expect("a link");

    assert_eq!(ground.ports(), [port("s1", link.address)]);
    server.runs("ping -c 1 -W 2 10.77.0.1");
    let routes = server.runs("ip route");
    assert!(routes.contains("default via 10.77.0.1 dev eth0"), "{routes}");
    assert_eq!(server.runs("ip -o -4 addr show dev eth0").matches("inet ").count(), 1);
    assert!(server.runs("ip -o -4 addr show dev eth0").contains("10.77.0.16/32"));

    // Whatever the namespace had for new interfaces.
    assert_eq!(server.read("net/ipv6/conf/default/disable_ipv6"), "0");
    assert_eq!(server.read("net/ipv6/conf/eth0/disable_ipv6"), "1");
    assert_eq!(server.runs("ip -o -6 addr show dev eth0"), "");

    let listener = server.run(|| TcpListener::bind("0.0.0.0:0").expect("a listener"));
    let to = SocketAddr::new(link.address.into(), listener.local_addr().expect("an address").port());
    let mut client = ground.space.run(|| TcpStream::connect_timeout(&to, DEADLINE).expect("a connection"));
    let (mut accepted, from) = listener.accept().expect("a connection");
    assert_eq!(from.ip(), GATEWAY);
    client.write_all(b"hello").expect("sent");
    drop(client);
    let mut text = String::new();
    accepted.read_to_string(&mut text).expect("received");
    assert_eq!(text, "hello");
}

#[test]
fn nothing_is_forwarded_before_a_firewall_says_so() {
    may_test!();
    let ground = Ground::new();
    let servers = [Space::new(), Space::new()];
    for (id, server) in [1, 2].into_iter().zip(&servers) {
        ground.plane.connect(&link_of(id), &server.namespace()).expect("a link");
    }
    servers[0].fails("ping -c 1 -W 1 10.77.0.17");
    ground.space.write("net/ipv4/ip_forward", "1");
    servers[0].runs("ping -c 1 -W 2 10.77.0.17");
    // A plane that is in use is not closed again.
    Plane::prepare_in(ground.folder.path(), "test", ground.space.pid(), GATEWAY).expect("the same plane");
    servers[0].runs("ping -c 1 -W 2 10.77.0.17");
    for (setting, value) in [
        ("net/ipv4/conf/all/rp_filter", "1"),
        ("net/ipv4/conf/s1/rp_filter", "1"),
        ("net/ipv4/conf/s1/send_redirects", "0"),
        ("net/ipv4/conf/all/accept_redirects", "0"),
        ("net/ipv6/conf/s1/disable_ipv6", "1"),
    ] {
        assert_eq!(ground.space.read(setting), value, "{setting}");
    }
}

#[test]
fn a_link_that_is_right_stays() {
    may_test!();
    let ground = Ground::new();
    let (server, link) = (Space::new(), link_of(1));
    ground.plane.connect(&link, &server.namespace()).expect("a link");
    // The number of an interface, which is never used again, its addresses, and what leads to it.
    let look = || {
        let number = |text: String| text.split(':').next().map(str::to_owned);
        [(&ground.space, "s1"), (&server, "eth0")].map(|(space, name)| {
            let shown = |what: &str| space.runs(&format!("ip -o {what} show dev {name}"));
            (number(shown("link")), shown("addr"), shown("route"), shown("neigh"))
        })
    };
    server.runs("ping -c 1 -W 2 10.77.0.1");
    let before = look();
    ground.plane.connect(&link, &server.namespace()).expect("the same link");
    assert_eq!(look(), before);
}

#[test]
fn a_link_that_is_wrong_is_made_anew() {
    may_test!();
    let ground = Ground::new();
    let server = Space::new();
    let works = |what: &str| {
        ground.plane.connect(&link_of(1), &server.namespace()).expect(what);
        server.runs("ping -c 1 -W 2 10.77.0.1");
        assert_eq!(ground.ports(), [port("s1", link_of(1).address)], "{what}");
    };
    works("at first");
    // What root in the container, or a person in the plane, may have done.
    for (space, script) in [
        (&server, "ip link set dev eth0 down && ip link set dev eth0 name other"),
        (&server, "ip link delete dev eth0"),
        (&server, "ip link delete dev eth0; ip link add eth0 type veth peer name x0"),
        (&server, "ip link set dev eth0 address 02:00:00:00:00:09"),
        (&server, "ip route flush dev eth0"),
        (&server, "ip neigh flush dev eth0 nud permanent; ip neigh del 10.77.0.1 dev eth0"),
        (&ground.space, "ip route del 10.77.0.16/32"),
        (&ground.space, "ip link set dev s1 down"),
        (&ground.space, "ip link delete dev s1; ip link add s1 type veth peer name x1"),
    ] {
        space.shell(script);
        works(script);
        ground.space.shell("ip link delete dev x1; ip link delete dev x0");
    }

    // The same port for another container, as after a restart that the old namespace outlived.
    let next = Space::new();
    ground.plane.connect(&link_of(1), &next.namespace()).expect("a link");
    next.runs("ping -c 1 -W 2 10.77.0.1");
    server.fails("ip link show dev eth0");
}

#[test]
fn a_port_vanishes_with_its_container_and_can_be_removed() {
    may_test!();
    let ground = Ground::new();
    let (server, other) = (Space::new(), Space::new());
    ground.plane.connect(&link_of(1), &server.namespace()).expect("a link");
    ground.plane.connect(&link_of(2), &other.namespace()).expect("a link");
    drop(server);
    until("the port is gone", || ground.ports() == [port("s2", link_of(2).address)]);
    ground.plane.disconnect("s2").expect("removed");
    ground.plane.disconnect("s2").expect("removed already");
    assert_eq!(ground.ports(), []);
    other.fails("ip link show dev eth0");
}

#[test]
fn a_plane_ends_with_its_holder() {
    may_test!();
    let mut ground = Ground::new();
    let found = || Plane::registered_in(ground.folder.path(), "test").expect("an answer");
    assert_eq!(found().map(|plane| plane.inode()), Some(ground.plane.inode()));
    assert!(ground.plane.is_joined_by(ground.space.pid()).expect("an answer"));
    assert!(!ground.plane.is_joined_by(std::process::id()).expect("an answer"));

    // Even before anybody has waited for it, as a container's first process may lie for a moment.
    let pid = ground.space.pid();
    ground.space.kill();
    assert!(Plane::registered_in(ground.folder.path(), "test").expect("an answer").is_none());
    assert!(!ground.plane.is_joined_by(pid).expect("an answer"));
}

#[test]
fn a_service_keeps_its_other_legs() {
    may_test!();
    let ground = Ground::new();
    let service = Space::new();
    service.shell("ip link add eth0 type veth peer name x0");
    service.runs("ip link set dev x0 up");
    service.runs("ip addr add 192.0.2.2/24 dev eth0");
    service.runs("ip link set dev eth0 up");
    service.runs("ip route add default via 192.0.2.1");
    let mut link = link_of(0);
    link.port = "caddy".to_owned();
    link.address = Ipv4Addr::new(10, 77, 0, 2);
    link.inside = Inside::Besides { subnet: (Ipv4Addr::new(10, 77, 0, 0), 24) };
    ground.plane.connect(&link, &service.namespace()).expect("a link");
    ground.plane.connect(&link, &service.namespace()).expect("the same link");

    let routes = service.runs("ip route");
    assert!(routes.contains("default via 192.0.2.1 dev eth0"), "{routes}");
    assert!(routes.contains("10.77.0.0/24 via 10.77.0.1 dev plane0"), "{routes}");
    service.runs("ping -c 1 -W 2 10.77.0.1");
    assert_eq!(ground.ports(), [port("caddy", link.address)]);
}

#[test]
fn a_neighbour_s_address_is_not_taken_from_another_link() {
    may_test!();
    let ground = Ground::new();
    let (victim, attacker) = (Space::new(), Space::new());
    ground.plane.connect(&link_of(1), &victim.namespace()).expect("a link");
    ground.plane.connect(&link_of(2), &attacker.namespace()).expect("a link");
    let listener = ground.space.run(|| UdpSocket::bind((GATEWAY, 0)).expect("a listener"));
    listener.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let to = listener.local_addr().expect("an address");
    let dropped = || ground.space.counter("IPReversePathFilter");
    let before = dropped();
    for address in ["10.77.0.16", "203.0.113.9"] {
        attacker.runs(&format!("ip addr add {address}/32 dev lo"));
        attacker.run(|| {
            let socket = UdpSocket::bind((address, 0)).expect("a socket");
            socket.send_to(b"forged", to).expect("sent");
        });
    }
    attacker.run(|| UdpSocket::bind("10.77.0.17:0").expect("a socket").send_to(b"own", to).expect("sent"));
    let mut bytes = [0; 16];
    let (length, from) = loop {
        match listener.recv_from(&mut bytes) {
            // With a deadline the kernel doesn't go on by itself after a signal.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.expect("a packet"),
        }
    };
    assert_eq!((&bytes[..length], from.ip()), (&b"own"[..], link_of(2).address.into()));
    assert_eq!(dropped() - before, 2);
}

#[test]
fn nothing_is_learned_by_arp() {
    may_test!();
    let ground = Ground::new();
    let server = Space::new();
    ground.plane.connect(&link_of(1), &server.namespace()).expect("a link");
    assert!(ground.space.runs("ip -o link show dev s1").contains("NOARP"));
    let neighbours = || {
        let text = ground.space.runs("ip neigh show dev s1");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("02:42:0a:4d:00:10") && text.contains("PERMANENT"), "{text}");
    };
    neighbours();
    let inside = server.runs("ip neigh show dev eth0");
    assert!(inside.contains("06:42:0a:4d:00:10") && inside.contains("PERMANENT"), "{inside}");

    // The plane neither answers a question nor takes an announcement.
    server.fails("arping -c 1 -w 1 -I eth0 10.77.0.1");
    server.runs("ip addr add 10.77.0.99/32 dev eth0");
    server.shell("arping -c 1 -w 1 -U -I eth0 10.77.0.99");
    server.shell(
        "ip link set dev eth0 down; ip link set dev eth0 address 02:00:00:00:00:09; ip link set dev eth0 up",
    );
    server.shell("arping -c 1 -w 1 -A -I eth0 10.77.0.16");
    neighbours();
}

#[test]
fn the_host_and_the_plane_are_never_linked_to_it() {
    may_test!();
    let ground = Ground::new();
    let own = berth_link::Namespace::current().expect("a namespace");
    assert!(ground.plane.connect(&link_of(1), &own).is_err());
    assert!(ground.plane.connect(&link_of(1), ground.plane.namespace()).is_err());
    assert!(Plane::prepare_in(ground.folder.path(), "own", std::process::id(), GATEWAY).is_err());
    assert_eq!(ground.ports(), []);
}

#[test]
fn two_hundred_links_are_made_at_once() {
    may_test!();
    let ground = Ground::new();
    let servers: Vec<Space> = (0..200).map(|_| Space::new()).collect();
    let mut links: Vec<_> = (1..).zip(&servers).map(|(id, server)| (link_of(id), server.pid())).collect();
    let gone = Space::new();
    links.insert(100, (link_of(999), gone.pid()));
    drop(gone);
    for what in ["made", "found right"] {
        let results = ground.plane.connect_many(&links).expect("links");
        let failed: Vec<usize> =
            results.iter().enumerate().filter_map(|(n, result)| result.is_err().then_some(n)).collect();
        assert_eq!(failed, [100], "{what}: all but the one whose process has ended");
    }
    let ports = ground.ports();
    assert_eq!(ports.len(), 200);
    assert!(ports.iter().all(|port| port.up));
    until("packets go through the last one", || {
        servers[199].run(|| busybox("ping -c 1 -W 1 10.77.0.1")).status.success()
    });
}

fn port(name: &str, address: Ipv4Addr) -> Port {
    Port { name: name.to_owned(), address: Some(address), up: true }
}
