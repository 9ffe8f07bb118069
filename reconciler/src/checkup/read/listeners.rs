//! Listeners at the host's TCP ports, as the kernel lists them (proc(5), `/proc/net/tcp`), and the processes behind them.

use std::collections::BTreeMap;
use std::fs;

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

/// Everybody who listens, by port.
pub(super) fn read() -> BTreeMap<u16, Listener> {
    let mut sockets = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(listening(&text(table)));
    }
    if sockets.is_empty() {
        return BTreeMap::new();
    }
    let owners = owners();
    sockets.into_iter().map(|(port, inode)| (port, owners.get(&inode).cloned())).collect()
}

/// The ports of a table, and the number of each one's socket.
fn listening(table: &str) -> BTreeMap<u16, u64> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        let is_listening = *fields.get(3)? == LISTENING;
        let socket = (u16::from_str_radix(port, 16).ok()?, fields.get(9)?.parse().ok()?);
        is_listening.then_some(socket)
    };
    table.lines().skip(1).filter_map(socket).collect()
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

/// Tells who has a port: the platform of this prefix, if it is known, or somebody else. The engine's own program listens for
/// containers, so its word counts first.
pub(super) fn held(
    port: u16,
    prefix: Option<&Prefix>,
    published: &BTreeMap<u16, String>,
    listeners: &BTreeMap<u16, Listener>,
) -> Held {
    if let Some(name) = published.get(&port) {
        let is_ours = prefix.is_some_and(|prefix| {
            name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with("-users-"))
        });
        return if is_ours { Held::Ours } else { Held::Container(safe(name)) };
    }
    match listeners.get(&port) {
        None => Held::Free,
        Some(None) => Held::Hidden,
        Some(Some((name, _))) if OURS.contains(&name.as_str()) => Held::Ours,
        Some(Some((name, pid))) => Held::Process(name.clone(), *pid),
    }
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
        assert_eq!(listening(TABLE), [(80, 4711), (22, 4713)].into());
        assert_eq!(listening(""), BTreeMap::new());
    }

    #[test]
    fn a_listener_of_this_process_is_found_by_its_name() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = read().get(&port).cloned().flatten().expect("a process");
        assert_eq!(found.1, std::process::id());
        assert!(!found.0.is_empty());
    }

    #[test]
    fn the_platform_s_own_are_no_trouble_and_everybody_else_is_named() {
        let prefix: Prefix = "demo".parse().unwrap();
        let published = [(80, "demo-users-caddy"), (81, "demo2-users-caddy"), (82, "other")];
        let published = published.map(|(port, name)| (port, name.to_owned())).into();
        let listeners: BTreeMap<u16, Listener> = [
            (80, Some(("docker-proxy".to_owned(), 1))),
            (8443, Some(("berth-web".to_owned(), 2))),
            (25, Some(("exim4".to_owned(), 3))),
            (53, None),
        ]
        .into();
        let held = |port| held(port, Some(&prefix), &published, &listeners);
        assert_eq!(held(80), Held::Ours);
        assert_eq!(held(81), Held::Container("demo2-users-caddy".to_owned()));
        assert_eq!(held(82), Held::Container("other".to_owned()));
        assert_eq!(held(8443), Held::Ours);
        assert_eq!(held(25), Held::Process("exim4".to_owned(), 3));
        assert_eq!(held(53), Held::Hidden);
        assert_eq!(held(1), Held::Free);
        assert_eq!(
            super::held(80, None, &published, &listeners),
            Held::Container("demo-users-caddy".to_owned())
        );
    }
}
