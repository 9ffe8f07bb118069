//! (k) Links: made, found right, and made again after the holder was lost, against the commands that a script would run.
//! Servers are namespaces, each held by a process that sleeps.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use berth_link::{Inside, Link, Namespace, Plane, Port};
use berth_tests::process::eventually;

use crate::caddy::good;
use crate::table;
use crate::times::Times;

const LINKS: usize = 1_000;
/// Number of links that are made where each needs commands. The time for all is reckoned from theirs.
const BY_COMMANDS: usize = 50;
const ROUNDS: usize = 3;
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

pub(crate) fn run() -> anyhow::Result<()> {
    let [mut made, mut right, mut again, mut called, mut batched]: [Times; 5] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("{LINKS} links, round {round} of {ROUNDS} …");
        let servers = Sleepers::start(LINKS)?;
        let links = links(&servers)?;
        let folder = tempfile::tempdir()?;
        let holder = Sleepers::start(1)?;
        let plane = prepare(folder.path(), &holder)?;
        for times in [&mut made, &mut right] {
            let results = times.measure(|| plane.connect_many(&links))?;
            all_good(results)?;
        }
        are_there(&plane, &links)?;
        // The namespace lives as long as it is kept open.
        drop(plane);
        drop(holder);
        let holder = Sleepers::start(1)?;
        let plane = prepare(folder.path(), &holder)?;
        let results = again.measure(|| plane.connect_many(&links))?;
        all_good(results)?;
        are_there(&plane, &links)?;
    }
    for _ in 0..ROUNDS {
        for (times, script) in [(&mut called, calls as fn(&[(Link, u32)], u32) -> _), (&mut batched, batches)]
        {
            let (servers, holder) = (Sleepers::start(BY_COMMANDS)?, Sleepers::start(1)?);
            let folder = tempfile::tempdir()?;
            let plane = prepare(folder.path(), &holder)?;
            let links = links(&servers)?;
            let file = folder.path().join("script");
            fs::write(&file, script(&links, holder.pids()[0])?)?;
            times.measure(|| good(Command::new("sh").arg("-e").arg(&file)))?;
            are_there(&plane, &links)?;
        }
    }
    let each = |times: &Times, links: usize| -> Vec<String> {
        let one = times.median().as_secs_f64() / links as f64;
        let reckoned = if links == LINKS { "" } else { " (reckoned)" };
        vec![format!("{:.2} ms", one * 1e3), format!("{:.2} s{reckoned}", one * LINKS as f64)]
    };
    let row = |what: &str, times: &Times, links: usize| {
        let first = vec![what.to_owned(), links.to_string(), times.to_string()];
        [first, each(times, links), vec![times.rounds().to_string()]].concat()
    };
    table::print(
        "(k) Links",
        &["what", "links", "time", "each", &format!("{LINKS} of them"), "rounds"],
        &[
            row("Berth makes them", &made, LINKS),
            row("Berth finds them right", &right, LINKS),
            row("Berth makes them again after the holder was lost", &again, LINKS),
            row("nine `ip` commands each", &called, BY_COMMANDS),
            row("`ip -batch`: one for the plane, one for each server", &batched, BY_COMMANDS),
        ],
    );
    Ok(())
}

/// Processes that sleep, each in a network namespace of its own.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(count: usize) -> anyhow::Result<Self> {
        let mut sleepers = Self(Vec::with_capacity(count));
        for _ in 0..count {
            let mut command = Command::new("unshare");
            command.args(["--net", "sleep", "1000"]).stdin(Stdio::null()).stdout(Stdio::null());
            sleepers.0.push(command.spawn().context("start unshare")?);
        }
        let inode = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/net")).map(|file| file.ino()).ok();
        let own = inode("self");
        for pid in sleepers.pids() {
            eventually("it has a namespace", || (inode(&pid.to_string()) != own).then_some(()));
        }
        Ok(sleepers)
    }

    fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

fn prepare(folder: &std::path::Path, holder: &Sleepers) -> anyhow::Result<Plane> {
    let pid = *holder.pids().first().context("a holder")?;
    Ok(Plane::prepare_in(folder, "bench", pid, GATEWAY)?)
}

/// A link for each.
fn links(servers: &Sleepers) -> anyhow::Result<Vec<(Link, u32)>> {
    let link = |(number, pid)| {
        let address = Ipv4Addr::from(u32::from(GATEWAY) + 15 + u32::try_from(number)?);
        let port = format!("s{}", number + 1);
        Ok((Link { port, address, gateway: GATEWAY, inside: Inside::Only }, pid))
    };
    servers.pids().into_iter().enumerate().map(link).collect()
}

fn all_good(results: Vec<berth_link::Result<()>>) -> anyhow::Result<()> {
    results.into_iter().try_for_each(|result| Ok(result?))
}

/// Makes sure that the plane has these links and no others, and that packets go through the last one.
fn are_there(plane: &Plane, links: &[(Link, u32)]) -> anyhow::Result<()> {
    let mut wanted: Vec<Port> = links
        .iter()
        .map(|(link, _)| Port { name: link.port.clone(), address: Some(link.address), up: true })
        .collect();
    wanted.sort();
    ensure!(plane.ports()? == wanted, "the plane has other links");
    let (_, pid) = links.last().context("no links")?;
    let last = Namespace::of_process(*pid)?;
    let gateway = GATEWAY.to_string();
    let ping = || Command::new("busybox").args(["ping", "-c", "1", "-W", "1", &gateway]).output();
    eventually("packets go through the last link", || {
        last.run(ping).is_ok_and(|ran| ran.is_ok_and(|ran| ran.status.success())).then_some(())
    });
    Ok(())
}

/// Commands of `ip` that make a link: in the plane, and in the server.
fn commands(link: &Link, pid: u32) -> ([String; 4], [String; 5]) {
    let mac = |octets: [u8; 6]| octets.map(|octet| format!("{octet:02x}")).join(":");
    let (outside, inside) = (mac(link.port_mac()), mac(link.inside_mac()));
    let Link { port, address, gateway, .. } = link;
    (
        [
            format!(
                "link add {port} address {outside} type veth peer name eth0 address {inside} netns {pid}"
            ),
            format!("link set {port} arp off up"),
            format!("neigh replace {address} lladdr {inside} dev {port} nud permanent"),
            format!("route add {address}/32 dev {port}"),
        ],
        [
            format!("address add {address}/32 dev eth0"),
            "link set eth0 up".to_owned(),
            format!("neigh replace {gateway} lladdr {outside} dev eth0 nud permanent"),
            format!("route add {gateway}/32 dev eth0"),
            format!("route add default via {gateway} dev eth0"),
        ],
    )
}

/// A script with a call for each command.
fn calls(links: &[(Link, u32)], plane: u32) -> anyhow::Result<String> {
    let mut script = String::new();
    for (link, pid) in links {
        let (outside, inside) = commands(link, *pid);
        for (pid, command) in outside.iter().map(|it| (plane, it)).chain(inside.iter().map(|it| (*pid, it))) {
            writeln!(script, "nsenter --net=/proc/{pid}/ns/net ip {command}")?;
        }
    }
    Ok(script)
}

/// A script that calls `ip` once in each namespace.
fn batches(links: &[(Link, u32)], plane: u32) -> anyhow::Result<String> {
    let mut script = format!("nsenter --net=/proc/{plane}/ns/net ip -batch - <<'.'\n");
    for (link, pid) in links {
        script += &commands(link, *pid).0.map(|line| line + "\n").concat();
    }
    script += ".\n";
    for (link, pid) in links {
        let lines = commands(link, *pid).1.map(|line| line + "\n").concat();
        write!(script, "nsenter --net=/proc/{pid}/ns/net ip -batch - <<'.'\n{lines}.\n")?;
    }
    Ok(script)
}
