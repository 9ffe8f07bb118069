//! The question as bytes, its way there and back over UDP and TCP, and the reading of the answer.
#![expect(
    clippy::disallowed_types,
    reason = "this is the one way to DNS: over UDP, and over TCP where an answer is cut short"
)]

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// The port at which DNS servers listen.
pub const PORT: u16 = 53;

/// Time after which a question over UDP is sent again: datagrams get lost.
const ASK_AGAIN: Duration = Duration::from_millis(700);
/// Length of the longest answer over UDP: 512 bytes where nothing else is agreed, and what servers send all the same.
const DATAGRAM: usize = 4096;

/// Kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An address, `A`.
    Address,
    /// An IPv6 address, `AAAA`.
    Address6,
    /// The name servers of a zone, `NS`.
    NameServers,
    /// A text, `TXT`.
    Text,
}

/// Answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The server's verdict on the question.
    pub code: Code,
    /// Addresses at the name.
    pub addresses: Vec<Ipv4Addr>,
    /// IPv6 addresses at the name.
    pub addresses6: Vec<Ipv6Addr>,
    /// Texts at the name.
    pub texts: Vec<String>,
    /// Records are missing because they found no room.
    pub is_cut: bool,
}

/// A server's verdict on a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// There is such a name.
    Name,
    /// There is no such name.
    NoName,
    /// It can't or won't answer; its code.
    Failure(String),
}

/// Asks over UDP until the time is over. A name without labels is the root.
pub fn ask(server: SocketAddr, name: &str, kind: Kind, until: Instant) -> io::Result<Answer> {
    let query = query(name, kind)?;
    read(&by_udp(server, &query, until)?, &query)
}

/// Does the same, and asks again over TCP where the answer was cut.
pub fn ask_for_all(server: SocketAddr, name: &str, kind: Kind, until: Instant) -> io::Result<Answer> {
    let query = query(name, kind)?;
    let answer = read(&by_udp(server, &query, until)?, &query)?;
    if !answer.is_cut {
        return Ok(answer);
    }
    let answer = read(&by_tcp(server, &query, until)?, &query)?;
    if answer.is_cut { Err(io::Error::other("the answer is cut short")) } else { Ok(answer) }
}

fn query(name: &str, kind: Kind) -> io::Result<Vec<u8>> {
    // Nobody who doesn't see the question can guess both this and the port.
    let [low, high, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    let mut query = Packet::new_query(u16::from_le_bytes([low, high]));
    let name = match name {
        "" => Name::new_with_labels(&[]),
        name => Name::new(name).map_err(io::Error::other)?,
    };
    let kind = match kind {
        Kind::Address => TYPE::A,
        Kind::Address6 => TYPE::AAAA,
        Kind::NameServers => TYPE::NS,
        Kind::Text => TYPE::TXT,
    };
    query.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    query.build_bytes_vec().map_err(io::Error::other)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")) } else { Ok(left) }
}

/// Returns whether nothing came for as long as was waited, or a signal came in between.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn by_udp(server: SocketAddr, query: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // A connected socket drops datagrams from any other address.
    socket.connect(server)?;
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

fn by_tcp(server: SocketAddr, query: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    fill(&mut stream, &mut length, until)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    fill(&mut stream, &mut answer, until)?;
    Ok(answer)
}

/// Reads as much as is wanted, in time: a server that sends a byte now and then holds nobody up.
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

fn read(answer: &[u8], query: &[u8]) -> io::Result<Answer> {
    let packet = Packet::parse(answer).map_err(io::Error::other)?;
    let asked = Packet::parse(query).map_err(io::Error::other)?;
    let names =
        |packet: &Packet<'_>| packet.questions.iter().map(|q| q.qname.to_string()).collect::<Vec<_>>();
    if packet.id() != asked.id() || names(&packet) != names(&asked) {
        return Err(io::Error::other("the answer is to another question"));
    }
    let code = match packet.rcode() {
        RCODE::NoError => Code::Name,
        RCODE::NameError => Code::NoName,
        code => Code::Failure(format!("{code:?}")),
    };
    let mut answer = Answer {
        code,
        addresses: Vec::new(),
        addresses6: Vec::new(),
        texts: Vec::new(),
        is_cut: packet.has_flags(PacketFlag::TRUNCATION),
    };
    for record in &packet.answers {
        match &record.rdata {
            RData::A(found) => answer.addresses.push(Ipv4Addr::from_bits(found.address)),
            RData::AAAA(found) => answer.addresses6.push(Ipv6Addr::from_bits(found.address)),
            RData::TXT(text) => answer.texts.extend(String::try_from(text.clone())),
            _ => {}
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A server that answers one question with what `answer` makes of it.
    fn server(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut query = [0; DATAGRAM];
            let (length, from) = socket.recv_from(&mut query).unwrap();
            for datagram in answer(&query[..length]) {
                socket.send_to(&datagram, from).unwrap();
            }
        });
        address
    }

    fn refused(query: &[u8]) -> Vec<u8> {
        let asked = Packet::parse(query).unwrap();
        let mut reply = Packet::new_reply(asked.id());
        reply.questions = asked.questions;
        *reply.rcode_mut() = RCODE::Refused;
        reply.build_bytes_vec().unwrap()
    }

    #[test]
    fn a_guess_is_passed_over_and_a_refusal_is_an_answer() {
        let address = server(|query| {
            let mut guess = refused(query);
            guess[0] ^= 1;
            vec![guess, refused(query)]
        });
        let answer = ask(address, "example.org", Kind::Text, Instant::now() + LONG).unwrap();
        assert_eq!(answer.code, Code::Failure("Refused".to_owned()));
    }

    #[test]
    fn the_answer_to_another_question_is_none() {
        let address = server(|query| {
            let mut other = super::query("example.net", Kind::Address).unwrap();
            other[..2].copy_from_slice(&query[..2]);
            vec![refused(&other)]
        });
        assert!(ask(address, "example.org", Kind::Address, Instant::now() + LONG).is_err());
    }

    #[test]
    fn an_ipv6_address_is_read() {
        use simple_dns::ResourceRecord;
        use simple_dns::rdata::AAAA;

        let own = Ipv6Addr::from_bits(0x2001_0db8 << 96 | 1);
        let address = server(move |query| {
            let asked = Packet::parse(query).unwrap();
            let mut reply = Packet::new_reply(asked.id());
            reply.questions = asked.questions;
            let name = Name::new("example.org").unwrap();
            let record = RData::AAAA(AAAA { address: own.to_bits() });
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, record));
            vec![reply.build_bytes_vec().unwrap()]
        });
        let answer = ask(address, "example.org", Kind::Address6, Instant::now() + LONG).unwrap();
        assert_eq!((answer.code, answer.addresses6), (Code::Name, vec![own]));
    }

    #[test]
    fn silence_ends_in_time() {
        let address = server(|_| Vec::new());
        let error =
            ask(address, "", Kind::NameServers, Instant::now() + Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
