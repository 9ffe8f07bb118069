//! Forwarded connections, both ways, and the agent.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::harness::{Place, Running, await_port, await_that, free_port, text};

/// Echoes one connection after another, for ever.
fn echo_server() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

fn echoes(mut stream: TcpStream) {
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
    let (echo, local, dead) = (echo_server(), free_port(), free_port());
    let forward = format!("127.0.0.1:{local}:127.0.0.1:{echo}");
    let nowhere = format!("127.0.0.1:{dead}:127.0.0.1:1");
    let flags = ["-N", "-L", &forward, "-L", &nowhere];
    let _ssh = Running(place.ssh("ann", "shop", &flags).stderr(Stdio::null()).spawn().unwrap());
    await_port(local);
    for _ in 0..3 {
        echoes(TcpStream::connect(("127.0.0.1", local)).unwrap());
    }
    let mut refused = TcpStream::connect(("127.0.0.1", dead)).unwrap();
    let mut nothing = Vec::new();
    // Closed, or reset: in any case nothing and no waiting.
    let _ = refused.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
}

#[test]
fn a_port_of_the_server_leads_back() {
    let place = Place::new();
    let (echo, remote) = (echo_server(), free_port());
    let forward = format!("127.0.0.1:{remote}:127.0.0.1:{echo}");
    let _ssh = Running(place.ssh("ann", "shop", &["-N", "-R", &forward]).spawn().unwrap());
    await_port(remote);
    for _ in 0..3 {
        echoes(TcpStream::connect(("127.0.0.1", remote)).unwrap());
    }
    // A port that the server chooses is told.
    let any = format!("0:127.0.0.1:{echo}");
    let output = place.ssh("ann", "shop", &["-R", &any, "-oLogLevel=INFO"]).arg("true").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_dynamic_port_is_a_proxy() {
    let place = Place::new();
    let (echo, local) = (echo_server(), free_port());
    let dynamic = format!("127.0.0.1:{local}");
    // As editors do it: no terminal, no command of their own but a shell.
    let mut ssh = place.ssh("ann", "shop", &["-T", "-D", &dynamic]);
    let mut ssh = Running(ssh.arg("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    await_port(local);
    let mut stream = TcpStream::connect(("127.0.0.1", local)).unwrap();
    let [high, low] = echo.to_be_bytes();
    stream.write_all(&[5, 1, 0]).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    echoes(stream);
    ssh.0.stdin.take().unwrap().write_all(b"echo shell\n").unwrap();
    let mut said = String::new();
    ssh.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "shell\n");
}

#[test]
fn the_agent_is_there_when_asked_for_and_answers_many_at_once() {
    let place = Place::new();
    let socket = place.path("agent");
    let _agent = Running(
        Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap(),
    );
    await_that("the agent", || UnixStream::connect(&socket).is_ok());
    let added =
        Command::new("ssh-add").arg("-q").arg(place.path("ann")).env("SSH_AUTH_SOCK", &socket).status();
    assert!(added.unwrap().success());
    let ask = "for n in 1 2 3 4 5 6 7 8; do ssh-add -L > /dev/null & done; wait; ssh-add -L";
    let with = place.ssh("ann", "shop", &["-A"]).env("SSH_AUTH_SOCK", &socket).arg(ask).output().unwrap();
    assert!(text(&with.stdout).contains("ssh-ed25519"), "{}", text(&with.stderr));
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
