//! DNS, asked for proofs that a name is somebody's.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use berth_schema::State;
use berth_schema::name::{Fqdn, UserName};
use berth_schema::policy::{self, Actor, Proof};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// For all the questions of a push, or of a look at proposals.
const PATIENCE: Duration = Duration::from_secs(6);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(2);
/// After which a question over UDP is sent again: datagrams get lost.
const ASK_AGAIN: Duration = Duration::from_millis(700);
/// What a resolver may answer over UDP where nothing else is agreed (RFC 1035).
const DATAGRAM: usize = 512;
const PORT: u16 = 53;

/// The resolvers that are asked, and how long they may take in all.
#[derive(Debug, Clone)]
pub struct Resolvers {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

/// What came of looking for proofs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proven {
    /// The names that are proved.
    pub names: Vec<Fqdn>,
    /// Why some could not be looked for, with a line break at its end, or nothing.
    pub note: String,
}

impl Resolvers {
    /// This resolver, or, without one, those that the servers' names are looked up at (`firewall.dns`). Their time runs
    /// from now on.
    pub fn of(set: Option<SocketAddr>, state: &State) -> Self {
        let platform = || state.platform.firewall.dns.iter().map(|address| (*address, PORT).into());
        let addresses = set.map_or_else(|| platform().collect(), |set| vec![set]);
        Self { addresses, until: Instant::now() + PATIENCE }
    }

    /// Looks for the proofs that a member's change wants.
    pub fn prove(&self, member: &UserName, before: &State, after: &State) -> Proven {
        let wanted = policy::to_prove(Actor::Member(member), before, after);
        let mut proven = Proven::default();
        for name in wanted {
            let proofs = policy::proofs(&name, member, &before.platform.domain);
            match proofs.iter().try_fold(false, |found, proof| Ok(found || self.holds(proof)?)) {
                Ok(true) => proven.names.push(name),
                Ok(false) => {}
                Err(error) => {
                    let error: io::Error = error;
                    proven.note.push_str(&format!("DNS could not be asked whose `{name}` is: {error}.\n"));
                }
            }
        }
        proven
    }

    /// Whether DNS has this record. The first resolver that answers decides.
    fn holds(&self, proof: &Proof) -> io::Result<bool> {
        let mut failure = io::Error::other("there is no resolver");
        for resolver in &self.addresses {
            match texts(*resolver, &proof.record, self.until) {
                Ok(texts) => return Ok(texts.contains(&proof.text)),
                Err(error) => {
                    failure = io::Error::new(error.kind(), format!("{}: {error}", resolver.ip()));
                }
            }
        }
        Err(failure)
    }
}

/// The texts at a name.
fn texts(resolver: SocketAddr, name: &str, until: Instant) -> io::Result<Vec<String>> {
    // Nobody who doesn't see the question can guess both this and the port.
    let [low, high, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    let id = u16::from_le_bytes([low, high]);
    let mut query = Packet::new_query(id);
    let name = Name::new(name).map_err(io::Error::other)?;
    query.questions.push(Question::new(name, QTYPE::TYPE(TYPE::TXT), QCLASS::CLASS(CLASS::IN), false));
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    let query = query.build_bytes_vec().map_err(io::Error::other)?;
    let answer = by_udp(resolver, &query, until)?;
    match read(&answer, &query)? {
        Some(texts) => Ok(texts),
        None => {
            let answer = by_tcp(resolver, &query, until)?;
            read(&answer, &query)?.ok_or_else(|| io::Error::other("the answer is cut short"))
        }
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now()).min(ANSWER);
    if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")) } else { Ok(left) }
}

/// Whether nothing came for as long as was waited, or a signal came in between.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn by_udp(resolver: SocketAddr, query: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match resolver {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // From nobody else is anything heard.
    socket.connect(resolver)?;
    let until = until.min(Instant::now() + ANSWER);
    let mut ask_at = Instant::now();
    let mut answer = vec![0; DATAGRAM];
    loop {
        let left = left(until)?;
        if Instant::now() >= ask_at {
            socket.send(query)?;
            ask_at = Instant::now() + ASK_AGAIN;
        }
        socket.set_read_timeout(Some(left.min(ASK_AGAIN)))?;
        let length = match socket.recv(&mut answer) {
            Err(error) if is_silence(&error) => continue,
            length => length?,
        };
        let heard = answer.get(..length).unwrap_or_default();
        // An answer to another question is somebody's guess.
        if heard.get(..2) == query.get(..2) {
            return Ok(heard.to_vec());
        }
    }
}

fn by_tcp(resolver: SocketAddr, query: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let until = until.min(Instant::now() + ANSWER);
    let mut stream = TcpStream::connect_timeout(&resolver, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    fill(&mut stream, &mut length, until)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    fill(&mut stream, &mut answer, until)?;
    Ok(answer)
}

/// Reads as much as is wanted, in time: a resolver that sends a byte now and then holds nobody up.
fn fill(stream: &mut TcpStream, mut wanted: &mut [u8], until: Instant) -> io::Result<()> {
    while !wanted.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(wanted) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => wanted = wanted.get_mut(read..).unwrap_or_default(),
            Err(error) if is_silence(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The texts of an answer; `None` where it was cut short.
fn read(answer: &[u8], query: &[u8]) -> io::Result<Option<Vec<String>>> {
    let packet = Packet::parse(answer).map_err(io::Error::other)?;
    let asked = Packet::parse(query).map_err(io::Error::other)?;
    let names =
        |packet: &Packet<'_>| packet.questions.iter().map(|q| q.qname.to_string()).collect::<Vec<_>>();
    if packet.id() != asked.id() || names(&packet) != names(&asked) {
        return Err(io::Error::other("the answer is to another question"));
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Ok(None);
    }
    match packet.rcode() {
        RCODE::NoError => {}
        // There is no such name.
        RCODE::NameError => return Ok(Some(Vec::new())),
        code => return Err(io::Error::other(format!("the answer is {code:?}"))),
    }
    let texts = packet.answers.iter().filter_map(|record| match &record.rdata {
        RData::TXT(text) => String::try_from(text.clone()).ok(),
        _ => None,
    });
    Ok(Some(texts.collect()))
}
