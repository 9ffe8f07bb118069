//! Places in a network of the stories' own: a network namespace each, held by a process that does nothing else. What is
//! sent and received there goes through this process' own sockets, which stay in the namespace that they were made in.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use berth_link::Namespace;

use crate::process::{PATIENCE, Ran, eventually, run};

/// A network namespace.
#[derive(Debug)]
pub struct Place {
    child: Child,
    namespace: Namespace,
    servants: Vec<Servant>,
}

/// Outcome of an attempt to open a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It opens, and the other side saw it come from this address.
    Open(Ipv4Addr),
    /// The firewall says no, at once.
    Refused,
    /// Nobody says anything.
    Silent,
    /// It reached a machine where nothing listens.
    Closed,
}

/// Time after which silence is believed. It is short, since everything is on one machine.
const SILENCE: Duration = Duration::from_millis(250);

/// A thread that answers until it is told to end.
#[derive(Debug)]
struct Servant {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Servant {
    fn new(mut serve: impl FnMut() + Send + 'static) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                serve();
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Servant {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Place {
    /// A new one, with nothing but its loopback.
    pub fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "1000"]).stdin(Stdio::null());
        let child = command.spawn().expect("start unshare");
        let inode = |pid: &str| std::fs::metadata(format!("/proc/{pid}/ns/net")).expect("a namespace").ino();
        let (own, pid) = (inode("self"), child.id());
        eventually("it has a namespace", || (inode(&pid.to_string()) != own).then_some(()));
        let namespace = Namespace::of_process(pid).expect("the namespace");
        let place = Self { child, namespace, servants: Vec::new() };
        place.shell("ip link set lo up");
        place
    }

    /// The process that holds it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its namespace, for the links.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A command, to be run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid())).arg(program);
        command
    }

    /// Runs a shell's script in it, which must succeed, and returns what it printed.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        self.attempt(script).good().stdout
    }

    /// Runs a shell's script in it.
    #[track_caller]
    pub fn attempt(&self, script: &str) -> Ran {
        run(self.command("sh").args(["-euc", script]), PATIENCE)
    }

    /// Does something in it.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(act).expect("enter the namespace")
    }

    /// Tries to open a connection.
    pub fn connect(&self, address: Ipv4Addr, port: u16) -> Answer {
        match self.stream(address, port) {
            Ok(mut stream) => {
                let mut octets = [0; 4];
                match stream.read_exact(&mut octets) {
                    Ok(()) => Answer::Open(Ipv4Addr::from(octets)),
                    Err(_) => Answer::Silent,
                }
            }
            Err(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => Answer::Refused,
            Err(ErrorKind::ConnectionRefused) => Answer::Closed,
            Err(ErrorKind::TimedOut) => Answer::Silent,
            Err(other) => panic!("connect to {address}:{port}: {other}"),
        }
    }

    /// An open connection.
    pub fn stream(&self, address: Ipv4Addr, port: u16) -> Result<TcpStream, ErrorKind> {
        let to = SocketAddr::from((address, port));
        let stream = self.enter(|| TcpStream::connect_timeout(&to, SILENCE)).map_err(|error| error.kind())?;
        stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
        Ok(stream)
    }

    /// A UDP socket, from this address.
    pub fn datagrams(&self, from: Ipv4Addr, port: u16) -> UdpSocket {
        let socket = self.enter(|| UdpSocket::bind((from, port))).expect("a UDP socket");
        socket.set_read_timeout(Some(SILENCE)).expect("a timeout");
        socket
    }

    /// Accepts connections at a port of every address; says whom it sees, and then repeats what it is told.
    pub fn listen(&mut self, port: u16) {
        let listener = self.enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).expect("listen");
        listener.set_nonblocking(true).expect("set a listener");
        let mut guests: Vec<TcpStream> = Vec::new();
        self.servants.push(Servant::new(move || {
            while let Ok((mut stream, SocketAddr::V4(peer))) = listener.accept() {
                let _ = stream.write_all(&peer.ip().octets());
                stream.set_nonblocking(true).expect("set a connection");
                guests.push(stream);
            }
            let mut heard = [0; 512];
            guests.retain_mut(|guest| match guest.read(&mut heard) {
                Ok(0) => false,
                Ok(length) => guest.write_all(&heard[..length]).is_ok(),
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            });
            thread::sleep(Duration::from_millis(1));
        }));
    }

    /// Answers datagrams to one address.
    pub fn answer(
        &mut self,
        at: (Ipv4Addr, u16),
        mut reply: impl FnMut(SocketAddrV4, &[u8]) -> Vec<u8> + Send + 'static,
    ) {
        let socket = self.datagrams(at.0, at.1);
        // The kernel's default holds not even three hundred small datagrams while this thread doesn't run.
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 8 << 20).expect("a larger buffer");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let mut heard = [0; 65_536];
        self.servants.push(Servant::new(move || {
            if let Ok((length, SocketAddr::V4(from))) = socket.recv_from(&mut heard) {
                let _ = socket.send_to(&reply(from, &heard[..length]), from);
            }
        }));
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.servants.clear();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
