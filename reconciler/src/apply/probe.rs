//! Probes: what a new configuration has to stand before it is kept, tried over the real paths.
//!
//! What a server may do is tried from a network namespace of its own, linked to the plane as a server is; what a visitor
//! may do is tried at the host's published port. The namespace ends with the process that holds it, and its link with it.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use berth_link::{Namespace, Plane};
use berth_plan::configuration::{Expectation, Holds, Probe};
use berth_plan::spec::LinkSpec;
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, TYPE, rdata::RData};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::link::link;

/// How long something that must work may take, and is tried again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take at one try.
const ANSWER: Duration = Duration::from_millis(700);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The probes that hold now, by their place in the list: those that can be held against a change.
pub(super) async fn working(platform: &str, probes: &[Expectation]) -> HashSet<usize> {
    let wanted: Vec<usize> = (0..probes.len())
        .filter(|index| probes.get(*index).is_some_and(|one| one.holds == Holds::AsBefore))
        .collect();
    let results = try_all(platform, probes, &wanted, Duration::ZERO).await;
    results.into_iter().filter(|(_, failure)| failure.is_none()).map(|(index, _)| index).collect()
}

/// What doesn't hold and must.
pub(super) async fn failures(platform: &str, probes: &[Expectation], worked: &HashSet<usize>) -> Vec<String> {
    let counts = |index: &usize| {
        probes.get(*index).is_some_and(|one| one.holds == Holds::Always || worked.contains(index))
    };
    let wanted: Vec<usize> = (0..probes.len()).filter(counts).collect();
    let results = try_all(platform, probes, &wanted, PATIENCE).await;
    results.into_iter().filter_map(|(_, failure)| failure).collect()
}

/// Tries the probes at these places; each with what failed.
async fn try_all(
    platform: &str,
    probes: &[Expectation],
    wanted: &[usize],
    patience: Duration,
) -> Vec<(usize, Option<String>)> {
    let mut results = Vec::with_capacity(wanted.len());
    let mut vantage: Option<Result<Vantage, String>> = None;
    for index in wanted {
        let Some(Expectation { probe, .. }) = probes.get(*index) else { continue };
        let outcome = match (probe, link_of(probe)) {
            (Probe::Answers { port, host, status }, _) => answers(*port, host, *status, patience).await,
            (Probe::Greets { port }, _) => greets(*port, patience).await,
            (_, Some(link)) => {
                let vantage = match &vantage {
                    Some(vantage) => vantage,
                    None => vantage.insert(Vantage::open(platform, link).await),
                };
                match vantage {
                    Ok(vantage) => vantage.attempt(probe, patience).await,
                    Err(why) => Err(why.clone()),
                }
            }
            (_, None) => Ok(()),
        };
        results.push((*index, outcome.err().map(|why| format!("{}: {why}", Told(probe)))));
    }
    results
}

fn link_of(probe: &Probe) -> Option<&LinkSpec> {
    match probe {
        Probe::Resolves { link, .. } | Probe::Opens { link, .. } | Probe::Refused { link, .. } => Some(link),
        Probe::Answers { .. } | Probe::Greets { .. } => None,
    }
}

/// A probe in words.
struct Told<'a>(&'a Probe);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Probe::Resolves { name, .. } => write!(f, "a server asks for the name {name}"),
            Probe::Opens { to, .. } => write!(f, "a server connects to {to}"),
            Probe::Refused { to, .. } => write!(f, "a server is kept from connecting to {to}"),
            Probe::Greets { port } => write!(f, "somebody connects with SSH to port {port}"),
            Probe::Answers { host, .. } => write!(f, "a visitor opens http://{host}"),
        }
    }
}

/// A network namespace linked to the plane like a server's.
struct Vantage {
    /// Ends the namespace, and with it the link, when it is dropped.
    holder: Child,
    pid: u32,
}

impl Vantage {
    async fn open(platform: &str, spec: &LinkSpec) -> Result<Self, String> {
        let failed = |error: &dyn fmt::Display| format!("it can't be tried, since {error}");
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sleep", "60"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let holder = command.spawn().map_err(|error| failed(&format!("`unshare` doesn't start: {error}")))?;
        let pid = holder.id().ok_or_else(|| failed(&"the process that holds its network has ended"))?;
        let vantage = Self { holder, pid };
        let (platform, link) = (platform.to_owned(), link(spec));
        let connect = move || -> Result<(), String> {
            let chained = |error: berth_link::Error| failed(&crate::outcome::chain(&error));
            let plane = Plane::registered(&platform).map_err(chained)?;
            let plane = plane.ok_or_else(|| failed(&"there is no user plane"))?;
            plane.connect(&link, &unshared(pid).map_err(chained)?).map_err(chained)
        };
        tokio::task::spawn_blocking(connect).await.map_err(|error| failed(&error))??;
        Ok(vantage)
    }

    async fn attempt(&self, probe: &Probe, patience: Duration) -> Result<(), String> {
        let (pid, probe) = (self.pid, probe.clone());
        let work = move || {
            let namespace = Namespace::of_process(pid).map_err(|error| crate::outcome::chain(&error))?;
            namespace.run(|| attempt(&probe, patience)).map_err(|error| crate::outcome::chain(&error))?
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

/// Tries it until it holds, or patience ends.
fn attempt(probe: &Probe, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let failure = match probe {
            Probe::Resolves { link, name, answer } => resolves(link.gateway, name, *answer),
            Probe::Opens { to, .. } => opens(*to),
            Probe::Refused { to, .. } => match opens(*to) {
                // Something that was open once was open: there is nothing to wait for.
                Ok(()) => return Err("it got through".to_owned()),
                Err(_) => return Ok(()),
            },
            Probe::Answers { .. } | Probe::Greets { .. } => return Ok(()),
        };
        match failure {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() >= deadline => return Err(why),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn opens(to: SocketAddrV4) -> Result<(), String> {
    TcpStream::connect_timeout(&SocketAddr::V4(to), ANSWER).map(drop).map_err(|error| error.to_string())
}

fn resolves(server: Ipv4Addr, name: &str, expected: Ipv4Addr) -> Result<(), String> {
    let answers = ask(server, name).map_err(|error| error.to_string())?;
    if answers.contains(&expected) {
        return Ok(());
    }
    Err(format!("the answer is {answers:?}, and should be {expected}"))
}

/// Asks a DNS server for a name's addresses (RFC 1035).
fn ask(server: Ipv4Addr, name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect((server, 53))?;
    let mut query = Packet::new_query(1);
    let name = Name::new(name).map_err(io::Error::other)?;
    query.questions.push(Question::new(name, QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN), false));
    query.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
    socket.send(&query.build_bytes_vec().map_err(io::Error::other)?)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let packet = Packet::parse(answer.get(..length).unwrap_or_default()).map_err(io::Error::other)?;
    let addresses = packet.answers.iter().filter_map(|record| match &record.rdata {
        RData::A(found) => Some(Ipv4Addr::from_bits(found.address)),
        _ => None,
    });
    Ok(addresses.collect())
}

/// What the web server says to a domain, asked at the port that visitors come to.
async fn answers(port: u16, host: &str, expected: u16, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let failure = match tokio::time::timeout(PATIENCE, status(port, host)).await {
            Ok(Ok(status)) if status == expected => return Ok(()),
            Ok(Ok(status)) => format!("the answer is {status}, and should be {expected}"),
            Ok(Err(why)) => why,
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        if Instant::now() >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether an SSH server says who it is at the port that people connect to (RFC 4253, section 4.2).
async fn greets(port: u16, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let failure = match tokio::time::timeout(PATIENCE, greeting(port)).await {
            Ok(Ok(first)) if first == *b"SSH-2.0-" => return Ok(()),
            Ok(Ok(_)) => "what answers is not an SSH server".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no greeting within {} s", PATIENCE.as_secs()),
        };
        if Instant::now() >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn greeting(port: u16) -> io::Result<[u8; 8]> {
    let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut first = [0; 8];
    stream.read_exact(&mut first).await?;
    Ok(first)
}

async fn status(port: u16, host: &str) -> Result<u16, String> {
    let failed = |error: &dyn fmt::Display| error.to_string();
    let stream =
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| failed(&error))?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("/")
        .header(hyper::header::HOST, host)
        .header(hyper::header::CONNECTION, "close")
        .body(http_body_util::Empty::<hyper::body::Bytes>::new())
        .map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error));
    connection.abort();
    Ok(answer?.status().as_u16())
}
