//! Listeners at the host's TCP ports, as the kernel lists them (proc(5), `/proc/net/tcp`), and the processes behind them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use berth_schema::name::Prefix;
use berth_schema::text::safe;

use super::file::text;
use crate::checkup::facts::Held;

/// `TCP_LISTEN`.
const LISTENING: &str = "0A";

/// Processes of Berth's that listen on the host.
const OURS: [&str; 2] = ["berth-web", "berth"];

/// A process that listens; `None` where it can't be seen.
pub(super) type Listener = Option<(String, u32)>;

/// Everybody who listens, and where.
pub(super) fn read() -> Vec<(SocketAddr, Listener)> {
    let sockets: Vec<(SocketAddr, u64)> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening(&text(table))).collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    let owners = owners();
    sockets.into_iter().map(|(place, inode)| (place, owners.get(&inode).cloned())).collect()
}

/// The places of a table at which somebody listens, and the number of each one's socket.
fn listening(table: &str) -> Vec<(SocketAddr, u64)> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.rsplit_once(':')?;
        let place = SocketAddr::new(address_of(address)?, u16::from_str_radix(port, 16).ok()?);
        let is_listening = *fields.get(3)? == LISTENING;
        let socket = (place, fields.get(9)?.parse().ok()?);
        is_listening.then_some(socket)
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// An address as the kernel writes it: words of 32 bits, each in this machine's order.
fn address_of(digits: &str) -> Option<IpAddr> {
    let word = |place: usize| {
        let word = digits.get(place * 8..place * 8 + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    match digits.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (place, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(place)?);
            }
            Some(IpAddr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The process that has each socket, with its name.
fn owners() -> BTreeMap<u64, (String, u32)> {
    let mut owners = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let name = text(process.path().join("comm"));
        for open in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(open.path()) else { continue };
            let socket =
                target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']'));
            let Some(inode) = socket.and_then(|inode| inode.parse().ok()) else { continue };
            owners.entry(inode).or_insert_with(|| (safe(name.trim()), pid));
        }
    }
    owners
}

/// Tells who has a port of an address: the platform of this prefix, if it is known, or somebody else. The engine's own program listens
/// for containers, so its word counts first.
pub(super) fn held(
    place: SocketAddr,
    prefix: Option<&Prefix>,
    published: &[(SocketAddr, String)],
    listeners: &[(SocketAddr, Listener)],
) -> Held {
    let is_ours = |name: &str| {
        let rest = prefix.and_then(|prefix| name.strip_prefix(prefix.as_str()));
        rest.is_some_and(|rest| rest.starts_with("-users-"))
    };
    let mut containers = published.iter().filter(|(other, _)| collide(place, *other)).map(|(_, name)| name);
    if let Some(name) = containers.clone().find(|name| is_ours(name.as_str())).or_else(|| containers.next()) {
        return if is_ours(name.as_str()) { Held::Ours } else { Held::Container(safe(name)) };
    }
    let mut there =
        listeners.iter().filter(|(other, _)| collide(place, *other)).map(|(_, listener)| listener);
    match there.next() {
        None => Held::Free,
        Some(None) => Held::Hidden,
        Some(Some((name, _))) if OURS.contains(&name.as_str()) => Held::Ours,
        Some(Some((name, pid))) => Held::Process(name.clone(), *pid),
    }
}

/// Returns whether nobody can listen at one place while somebody listens at the other.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (at, there) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (at.is_unspecified() || there.is_unspecified() || at == there)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
";

    #[test]
    fn those_who_listen_are_told_from_those_who_are_connected() {
        let at = |place: &str, inode: u64| (place.parse::<SocketAddr>().unwrap(), inode);
        // The kernel writes addresses in the order of the machine that this runs on.
        if cfg!(target_endian = "little") {
            assert_eq!(listening(TABLE), [at("0.0.0.0:80", 4711), at("127.0.0.1:22", 4713)]);
            let sixth = "head\n 0: 00000000000000000000000001000000:0050 0:0 0A 0 0 0 0 0 4714\n \
                         1: 0000000000000000FFFF00000100007F:0051 0:0 0A 0 0 0 0 0 4715\n";
            assert_eq!(listening(sixth), [at("[::1]:80", 4714), at("127.0.0.1:81", 4715)]);
        }
        for broken in ["", "head\n", "head\n0: x:y\n", "head\n 0: \u{e9}0000000:0050 0:0 0A 0 0 0 0 0 1\n"] {
            assert!(listening(broken).is_empty(), "{broken}");
        }
    }

    #[test]
    fn a_listener_of_this_process_is_found_by_its_name() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let place = listener.local_addr().unwrap();
        let found =
            read().into_iter().find(|(at, _)| *at == place).and_then(|(_, found)| found).expect("a process");
        assert_eq!(found.1, std::process::id());
        assert!(!found.0.is_empty());
    }

    #[test]
    fn the_platform_s_own_are_no_trouble_and_everybody_else_is_named() {
        let prefix: Prefix = "demo".parse().unwrap();
        let at = |port: u16| SocketAddr::from(([0, 0, 0, 0], port));
        let published = [(80, "demo-users-caddy"), (81, "demo2-users-caddy"), (82, "other")];
        let published = published.map(|(port, name)| (at(port), name.to_owned()));
        let listeners: [(SocketAddr, Listener); 4] = [
            (at(80), Some(("docker-proxy".to_owned(), 1))),
            ("[::]:8443".parse().unwrap(), Some(("berth-web".to_owned(), 2))),
            (at(25), Some(("exim4".to_owned(), 3))),
            (at(53), None),
        ];
        let held = |port| held(at(port), Some(&prefix), &published, &listeners);
        assert_eq!(held(80), Held::Ours);
        assert_eq!(held(81), Held::Container("demo2-users-caddy".to_owned()));
        assert_eq!(held(82), Held::Container("other".to_owned()));
        assert_eq!(held(8443), Held::Ours);
        assert_eq!(held(25), Held::Process("exim4".to_owned(), 3));
        assert_eq!(held(53), Held::Hidden);
        assert_eq!(held(1), Held::Free);
        assert_eq!(
            super::held(at(80), None, &published, &listeners),
            Held::Container("demo-users-caddy".to_owned())
        );
    }

    #[test]
    fn another_address_has_ports_of_its_own() {
        let at = |place: &str| place.parse::<SocketAddr>().unwrap();
        let listeners = [(at("198.51.100.2:443"), Some(("nginx".to_owned(), 7)))];
        let published = [(at("198.51.100.3:443"), "web".to_owned())];
        let held = |place: &str| held(at(place), None, &published, &listeners);
        assert_eq!(held("198.51.100.1:443"), Held::Free);
        assert_eq!(held("198.51.100.2:443"), Held::Process("nginx".to_owned(), 7));
        assert_eq!(held("198.51.100.3:443"), Held::Container("web".to_owned()));
        // Who wants all of them can't have one that somebody has.
        assert_eq!(held("0.0.0.0:443"), Held::Container("web".to_owned()));
        assert_eq!(super::held(at("[::]:443"), None, &[], &listeners), Held::Process("nginx".to_owned(), 7));
    }
}
