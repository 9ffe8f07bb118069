//! A server's place in the user plane, from which is tried what a server may do and what it may not. The network
//! namespace ends with the process that holds it, and its link with it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use berth_dns::{Answer, Code, Kind, PORT};
use berth_fault::chain;
use berth_link::{Namespace, Plane};
use berth_plan::configuration::Probe;
use berth_plan::spec::LinkSpec;
use tokio::process::{Child, Command};

use super::limit::{Limit, PATIENCE, PAUSE};
use crate::apply::link::link;

/// The link over which a probe is tried; `None` when it is a visitor's.
pub(super) fn link_of(probe: &Probe) -> Option<&LinkSpec> {
    match probe {
        Probe::Resolves { link, .. }
        | Probe::Forwards { link }
        | Probe::Opens { link, .. }
        | Probe::Refused { link, .. } => Some(link),
        Probe::Answers { .. } | Probe::Greets { .. } | Probe::Serves { .. } => None,
    }
}

/// A network namespace linked to the plane like a server's.
pub(super) struct Vantage {
    /// Ends the namespace, and with it the link, when it is dropped.
    holder: Child,
    pid: u32,
}

impl Vantage {
    pub(super) async fn open(platform: &str, spec: &LinkSpec) -> Result<Self, String> {
        let failed = |error: &dyn fmt::Display| format!("it can't be tried, since {error}");
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sleep", "60"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let holder = command.spawn().map_err(|error| failed(&format!("`unshare` doesn't start: {error}")))?;
        let pid = holder.id().ok_or_else(|| failed(&"the process that holds its network has ended"))?;
        let vantage = Self { holder, pid };
        let (platform, link) = (platform.to_owned(), link(spec));
        let connect = move || -> Result<(), String> {
            let chained = |error: berth_link::Error| failed(&chain(&error));
            let plane = Plane::registered(&platform).map_err(chained)?;
            let plane = plane.ok_or_else(|| failed(&"there is no user plane"))?;
            plane.connect(&link, &unshared(pid).map_err(chained)?).map_err(chained)
        };
        tokio::task::spawn_blocking(connect).await.map_err(|error| failed(&error))??;
        Ok(vantage)
    }

    pub(super) async fn attempt(&self, probe: &Probe, limit: Limit) -> Result<(), String> {
        let (pid, probe) = (self.pid, probe.clone());
        let work = move || {
            let namespace = Namespace::of_process(pid).map_err(|error| chain(&error))?;
            namespace.run(|| attempt(&probe, limit)).map_err(|error| chain(&error))?
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
    }
}

impl Drop for Vantage {
    fn drop(&mut self) {
        // The runtime collects it; killed here so that its link is gone before the next one is made.
        let _ = self.holder.start_kill();
    }
}

/// The namespace of a process that is about to leave ours.
fn unshared(pid: u32) -> berth_link::Result<Namespace> {
    let ours = Namespace::current()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = Namespace::of_process(pid)?;
        if found.inode() != ours.inode() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let late = io::Error::new(io::ErrorKind::TimedOut, "it is still the host's");
            return Err(berth_link::Error::new("give a probe a network of its own", late));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Tries it until it holds, or the limit is reached.
fn attempt(probe: &Probe, limit: Limit) -> Result<(), String> {
    loop {
        let within = limit.answer();
        let outcome = match probe {
            Probe::Resolves { link, name, answer } => resolves(link.gateway, name, *answer, within),
            Probe::Forwards { link } => forwards(link.gateway, within),
            Probe::Opens { to, .. } => opens(to, within),
            // Something that was open once was open: there is nothing to wait for.
            Probe::Refused { to, .. } => return refused(*to, within),
            Probe::Answers { .. } | Probe::Greets { .. } | Probe::Serves { .. } => return Ok(()),
        };
        match outcome {
            Err(_) if limit.goes_on() => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

fn opens(to: &[SocketAddrV4], within: Duration) -> Result<(), String> {
    let mut failures = Vec::new();
    // The time is for all of them.
    let each = within / u32::try_from(to.len()).unwrap_or(u32::MAX).max(1);
    for address in to {
        match connect(*address, each) {
            Ok(()) => return Ok(()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures.dedup();
    Err(failures.join(", "))
}

fn refused(to: SocketAddrV4, within: Duration) -> Result<(), String> {
    match connect(to, within) {
        Ok(()) => Err("it got through".to_owned()),
        // The firewall says it in another way: this was said by whoever is there.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err("it got through, to a port that nobody listens at".to_owned())
        }
        Err(_) => Ok(()),
    }
}

fn connect(to: SocketAddrV4, within: Duration) -> io::Result<()> {
    TcpStream::connect_timeout(&SocketAddr::V4(to), within).map(drop)
}

fn resolves(server: Ipv4Addr, name: &str, expected: Ipv4Addr, within: Duration) -> Result<(), String> {
    let answers = ask(server, name, Kind::Address, within)?.addresses;
    if answers.contains(&expected) {
        return Ok(());
    }
    Err(format!("the answer is {answers:?}, and should be {expected}"))
}

/// Checks that somebody outside answers. The gateway itself can only say that it has nobody to ask.
fn forwards(server: Ipv4Addr, within: Duration) -> Result<(), String> {
    match ask(server, "", Kind::NameServers, within)?.code {
        Code::Name | Code::NoName => Ok(()),
        Code::Failure(code) => Err(format!("the answer is {code}")),
    }
}

fn ask(server: Ipv4Addr, name: &str, kind: Kind, within: Duration) -> Result<Answer, String> {
    let answer = berth_dns::ask((server, PORT).into(), name, kind, Instant::now() + within);
    answer.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => "there is no answer".to_owned(),
        _ => error.to_string(),
    })
}
