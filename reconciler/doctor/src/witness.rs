//! Witnesses: one in each place that an attack might get to. A witness sees every frame that comes to its network
//! namespace, and listens there, so that "nothing arrived" is said by somebody who was there.
//!
//! A witness answers what reaches it, and only what carries a token of this run.

use std::collections::HashSet;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use berth_link::Namespace;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::sighting::{Sighting, Tokens};

/// Somebody who sees and hears what gets to a namespace.
#[derive(Debug)]
pub(crate) struct Witness {
    namespace: Arc<Namespace>,
    /// The port that it listens on, TCP and UDP, at all addresses.
    pub(crate) port: u16,
    notes: Arc<Notes>,
    threads: Vec<JoinHandle<()>>,
}

/// Notes of a witness since it was last asked to forget.
#[derive(Debug, Default)]
struct Notes {
    seen: Mutex<HashSet<Sighting>>,
    /// The numbers of the attempts that it was told of by listening.
    heard: Mutex<HashSet<u16>>,
    over: AtomicBool,
}

/// Number of sightings that are remembered: enough for an attempt; the rest of a flood says nothing new.
const REMEMBERED: usize = 100_000;
/// Time that a thread waits before it looks whether it is still needed.
const GLANCE: Duration = Duration::from_millis(50);

impl Witness {
    /// Sends one to a namespace, to listen on `port` (0: any that is free) and see everything.
    pub(crate) fn new(namespace: Arc<Namespace>, tokens: &Arc<Tokens>, port: u16) -> io::Result<Self> {
        let open = || -> io::Result<_> {
            let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
            let port = tcp.local_addr()?.port();
            let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            // A kernel without IPv6 can't be reached over it.
            let tcp6 = over_ipv6(Type::STREAM, port).ok().map(TcpListener::from);
            let udp6 = over_ipv6(Type::DGRAM, port).ok().map(UdpSocket::from);
            Ok((port, tcp, udp, tcp6, udp6, everything()?))
        };
        let (port, tcp, udp, tcp6, udp6, wire) = namespace.run(open).map_err(io::Error::other)??;
        let notes = Arc::new(Notes::default());
        let mut witness = Self { namespace, port, notes, threads: Vec::new() };
        wire.set_read_timeout(Some(GLANCE))?;
        witness.spawn(tokens, move |notes, tokens| watch(wire, notes, tokens))?;
        for listener in [Some(tcp), tcp6].into_iter().flatten() {
            listener.set_nonblocking(true)?;
            witness.spawn(tokens, move |notes, tokens| take_connections(&listener, notes, tokens))?;
        }
        for socket in [Some(udp), udp6].into_iter().flatten() {
            socket.set_read_timeout(Some(GLANCE))?;
            witness.spawn(tokens, move |notes, tokens| take_datagrams(&socket, notes, tokens))?;
        }
        Ok(witness)
    }

    /// Returns its namespace.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Listens on one more TCP port.
    pub(crate) fn also_listen(&mut self, tokens: &Arc<Tokens>, port: u16) -> io::Result<()> {
        let open = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let listener = self.namespace.run(open).map_err(io::Error::other)??;
        listener.set_nonblocking(true)?;
        self.spawn(tokens, move |notes, tokens| take_connections(&listener, notes, tokens))
    }

    fn spawn(
        &mut self,
        tokens: &Arc<Tokens>,
        work: impl FnOnce(&Notes, &Tokens) + Send + 'static,
    ) -> io::Result<()> {
        let (notes, tokens) = (Arc::clone(&self.notes), Arc::clone(tokens));
        let thread = std::thread::Builder::new().name("witness".to_owned());
        self.threads.push(thread.spawn(move || work(&notes, &tokens))?);
        Ok(())
    }

    /// Forgets its notes.
    pub(crate) fn forget(&self) {
        self.notes.seen.lock().clear();
        self.notes.heard.lock().clear();
    }

    /// Returns whether a frame with the attempt's token came by.
    pub(crate) fn saw(&self, number: u16) -> bool {
        self.saw_any(|sighting| sighting.token == Some(number))
    }

    /// Returns whether a packet came by that opens a connection to `to`.
    pub(crate) fn saw_opening(&self, to: (Ipv4Addr, u16)) -> bool {
        self.saw_any(|sighting| sighting.opens.is_some_and(|(_, address, port)| (address, port) == to))
    }

    /// Returns whether a packet came by that opens a connection in the name of `from`.
    pub(crate) fn saw_opening_from(&self, from: Ipv4Addr) -> bool {
        self.saw_any(|sighting| sighting.opens.is_some_and(|(source, ..)| source == from))
    }

    /// Returns whether somebody told it the attempt's token.
    pub(crate) fn heard(&self, number: u16) -> bool {
        self.notes.heard.lock().contains(&number)
    }

    fn saw_any(&self, is_it: impl Fn(&Sighting) -> bool) -> bool {
        self.notes.seen.lock().iter().any(is_it)
    }

    /// Opens a connection from its namespace, says the token, and returns whether there was an answer.
    pub(crate) fn asks(&self, to: SocketAddr, token: &str) -> io::Result<bool> {
        self.namespace.run(|| ask(to, token)).map_err(io::Error::other)?
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.notes.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Notes {
    fn note(&self, sighting: Sighting) {
        let mut seen = self.seen.lock();
        if seen.len() < REMEMBERED {
            seen.insert(sighting);
        }
    }

    fn hear(&self, bytes: &[u8], tokens: &Tokens) -> bool {
        let number = tokens.number_in(bytes);
        self.heard.lock().extend(number);
        number.is_some()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// A socket that gets a copy of every frame of its namespace (packet(7)).
fn everything() -> io::Result<Socket> {
    const ALL: u16 = 0x0003;
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL.to_be()))))?;
    // Room for a flood, as far as the kernel grants it.
    let _ = socket.set_recv_buffer_size(8 << 20);
    Ok(socket)
}

fn over_ipv6(kind: Type, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, kind, None)?;
    socket.set_only_v6(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    if kind == Type::STREAM {
        socket.listen(16)?;
    }
    Ok(socket)
}

fn watch(mut wire: Socket, notes: &Notes, tokens: &Tokens) {
    let mut frame = vec![0; 65_536];
    while !notes.is_over() {
        if let Ok(length) = wire.read(&mut frame)
            && let Some(sighting) = tokens.sighting(&frame[..length])
        {
            notes.note(sighting);
        }
    }
}

fn take_connections(listener: &TcpListener, notes: &Notes, tokens: &Tokens) {
    while !notes.is_over() {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let _ = answer(&mut stream, notes, tokens);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn answer(stream: &mut TcpStream, notes: &Notes, tokens: &Tokens) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut question = Vec::new();
    let mut part = [0; 1024];
    // It may come in pieces.
    while question.len() < 8192 {
        let length = stream.read(&mut part)?;
        question.extend(&part[..length]);
        if notes.hear(&question, tokens) {
            return stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        if length == 0 {
            break;
        }
    }
    Ok(())
}

fn take_datagrams(socket: &UdpSocket, notes: &Notes, tokens: &Tokens) {
    let mut datagram = [0; 2048];
    while !notes.is_over() {
        if let Ok((length, from)) = socket.recv_from(&mut datagram)
            && notes.hear(&datagram[..length], tokens)
        {
            let _ = socket.send_to(b"here", from);
        }
    }
}

fn ask(to: SocketAddr, token: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let host = match to.ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let question = format!("GET / HTTP/1.0\r\nHost: {host}\r\nX-Berth: {token}\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    Ok(stream.read(&mut [0; 64])? > 0)
}
