//! Forwarded connections, both ways, and the agent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Place, Running, await_that, public, text};

/// Echoes one connection after another, for ever.
pub(crate) fn echo_server() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

pub(crate) fn echoes(mut stream: TcpStream) {
    let sent = vec![b'x'; 300_000];
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent, "{} bytes came back", back.len());
}

#[test]
fn a_local_port_leads_to_where_the_server_leads_and_nowhere_says_so() {
    let place = Place::new();
    let (echo, local, dead) = (echo_server(), place.free_port(), place.free_port());
    let forward = format!("{}:{local}:127.0.0.1:{echo}", place.host());
    let nowhere = format!("{}:{dead}:127.0.0.1:1", place.host());
    let flags = ["-N", "-oExitOnForwardFailure=yes", "-L", &nowhere, "-L", &forward];
    let mut ssh = Running(place.ssh("ann", "shop", &flags).stderr(Stdio::null()).spawn().unwrap());
    place.await_listener(&mut ssh, local);
    for _ in 0..3 {
        echoes(place.connect_to(local));
    }
    let mut refused = place.connect_to(dead);
    let mut nothing = Vec::new();
    // Closed, or reset: in any case nothing and no waiting.
    let _ = refused.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
}

#[test]
fn a_port_of_the_server_leads_back() {
    let place = Place::new();
    let (echo, remote) = (echo_server(), place.free_port());
    let forward = format!("{}:{remote}:127.0.0.1:{echo}", place.host());
    let flags = ["-N", "-oExitOnForwardFailure=yes", "-R", &forward];
    let mut ssh = Running(place.ssh("ann", "shop", &flags).spawn().unwrap());
    place.await_listener(&mut ssh, remote);
    for _ in 0..3 {
        echoes(place.connect_to(remote));
    }
    // A port that the server chooses is told.
    let any = format!("{}:0:127.0.0.1:{echo}", place.host());
    let mut ssh = place.ssh("ann", "shop", &["-N", "-v", "-R", &any]);
    let mut ssh = Running(ssh.stderr(Stdio::piped()).spawn().unwrap());
    let chosen = BufReader::new(ssh.0.stderr.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix("Allocated port ")?.split(' ').next()?.parse().ok());
    echoes(place.connect_to(chosen.unwrap()));
}

#[test]
fn a_dynamic_port_is_a_proxy_for_many_at_once() {
    let place = Place::new();
    let (echo, local) = (echo_server(), place.free_port());
    let dynamic = format!("{}:{local}", place.host());
    // As editors do it: no terminal, no command of their own but a shell.
    let mut ssh = place.ssh("ann", "shop", &["-T", "-oExitOnForwardFailure=yes", "-D", &dynamic]);
    let mut ssh = Running(ssh.arg("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    place.await_listener(&mut ssh, local);
    // All of them are open before the first says anything.
    let streams: Vec<TcpStream> = (0..8).map(|_| proxied(&place, local, echo)).collect();
    let echoing: Vec<_> = streams.into_iter().map(|stream| std::thread::spawn(|| echoes(stream))).collect();
    ssh.0.stdin.take().unwrap().write_all(b"echo shell\n").unwrap();
    let mut said = String::new();
    ssh.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "shell\n");
    for echoes in echoing {
        echoes.join().unwrap();
    }
}

/// A connection to a port of the server's, by a proxy (RFC 1928) that listens on a port of the place's.
pub(crate) fn proxied(place: &Place, proxy: u16, port: u16) -> TcpStream {
    let mut stream = place.connect_to(proxy);
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0]).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..2], [5, 0], "the proxy has connected");
    stream
}

/// An agent that has ann's key; it ends when it is dropped.
pub(crate) fn agent(place: &Place, socket: &Path) -> Running {
    let mut agent = Command::new("ssh-agent");
    let agent = Running(agent.args(["-D", "-a"]).arg(socket).stdout(Stdio::null()).spawn().unwrap());
    await_that("the agent", || UnixStream::connect(socket).is_ok());
    let mut add = Command::new("ssh-add");
    let added = add.arg("-q").arg(place.path("ann")).env("SSH_AUTH_SOCK", socket).status();
    assert!(added.unwrap().success());
    agent
}

#[test]
fn the_agent_is_there_when_asked_for_and_answers_many_at_once() {
    let place = Place::new();
    let socket = place.path("agent");
    let _agent = agent(&place, &socket);
    let ask = "for n in 1 2 3 4 5 6 7 8; do ssh-add -L & all=\"$all $!\"; done; \
               for one in $all; do wait $one || exit; done";
    let with = place.ssh("ann", "shop", &["-A"]).env("SSH_AUTH_SOCK", &socket).arg(ask).output().unwrap();
    assert_eq!(with.status.code(), Some(0), "{}", text(&with.stderr));
    assert_eq!(text(&with.stdout), format!("{}\n", public(place.folder.path(), "ann")).repeat(8));
    let without =
        place.ssh("ann", "shop", &[]).env("SSH_AUTH_SOCK", &socket).arg("ssh-add -L").output().unwrap();
    assert!(!without.status.success() && !text(&without.stdout).contains("ssh-ed25519"));
}

#[test]
fn a_socket_leads_to_where_the_server_leads() {
    let place = Place::new();
    let (echo, here, there) = (echo_server(), place.path("here.sock"), place.path("there.sock"));
    let back = format!("{}:127.0.0.1:{echo}", there.display());
    let forth = format!("{}:{}", here.display(), there.display());
    let _ssh = Running(place.ssh("ann", "shop", &["-N", "-R", &back, "-L", &forth]).spawn().unwrap());
    await_that("both sockets", || here.exists() && there.exists());
    let mut stream = UnixStream::connect(&here).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}
