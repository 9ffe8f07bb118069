//! What strangers do: floods, garbage, guessing, and a server that reaches for its visitors.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{PASSWORD, Place, await_that};

#[test]
fn a_flood_of_half_open_connections_is_dropped_and_passes() {
    let place = Place::with(&["--half-open", "10:30:60", "--login-time", "2s"]);
    let mut flood: Vec<TcpStream> =
        (0..400).map(|_| TcpStream::connect(("127.0.0.1", place.port)).unwrap()).collect();
    let mut turned_away = 0;
    for stream in &mut flood {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut answer = [0; 11];
        if stream.read_exact(&mut answer).is_ok() && &answer == b"Not allowed" {
            turned_away += 1;
        }
    }
    assert!((340..400).contains(&turned_away), "{turned_away} turned away");
    // Those that were let in run into the deadline.
    await_that("the deadlines", || place.log().matches("ending=TooSlow").count() >= 400 - turned_away);
    assert!(place.run("true").status.success());
}

#[test]
fn a_flood_from_one_source_keeps_no_other_out() {
    let place = Place::with(&["--exempt", "192.0.2.0/24"]);
    let mut flood: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(("127.0.0.1", place.port)).unwrap()).collect();
    let from_elsewhere = ["-b", "127.0.0.2"];
    let output = place.ssh("ann", "shop", &from_elsewhere).arg("echo in").output().unwrap();
    assert_eq!(output.stdout, b"in\n");
    // Those beyond the source's share were told so.
    let last = flood.last_mut().unwrap();
    let mut answer = [0; 11];
    last.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"Not allowed");
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let place = Place::new();
    let mut session = place.long_session("ann", "shop", &[]);
    let long = [b"SSH-2.0-x\r\n".to_vec(), vec![0xff; 100_000]].concat();
    let zeros = [b"SSH-2.0-x\r\n".to_vec(), vec![0; 50_000]].concat();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 70_000], vec![b'a'; 300_000], long, zeros]
    {
        let mut stream = TcpStream::connect(("127.0.0.1", place.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // It may be gone before it has heard everything.
        let _ = stream.write_all(&garbage);
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{:?}", &garbage[..10]);
        }
    }
    session.0.stdin.take().unwrap().write_all(b"said\n").unwrap();
    let mut said = String::new();
    session.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "said\nended\n");
}

#[test]
fn guessing_closes_the_door_to_its_source() {
    // Everybody is exempt in the other stories.
    let place = Place::with(&["--exempt", "192.0.2.0/24", "--failure-delay", "10ms"]);
    let guess = || assert!(!place.ssh_password("shop", "wrong", "true").status.success());
    let start = Instant::now();
    await_that("the door to close", || {
        guess();
        place.log().contains("source refused for a while")
    });
    let output = place.ssh_password("shop", PASSWORD, "true");
    assert!(!output.status.success(), "{:?} after the first guess", start.elapsed());
}

#[test]
fn a_connection_has_three_passwords_and_ten_keys() {
    let place = Place::new();
    let mut command = std::process::Command::new("sshpass");
    command.args(["-p", "wrong", "ssh"]).args(place.options("other"));
    command.args(["-oPubkeyAuthentication=no", "-oNumberOfPasswordPrompts=9", "-p", &place.port.to_string()]);
    // sshpass answers once; the client then gives up or is told that there is no other way.
    let output = command.args(["shop@127.0.0.1", "true"]).output().unwrap();
    assert!(!output.status.success());
    await_that("the end", || place.log().contains("nobody logged in"));

    let mut command = place.ssh("other", "shop", &[]);
    for n in 0..12 {
        let key = place.path(&format!("key{n}"));
        crate::harness::keygen(&key);
        command.arg("-i").arg(&key);
    }
    command.arg("-i").arg(place.path("ann"));
    let output = command.arg("true").output().unwrap();
    assert_eq!(output.status.code(), Some(255), "ann's key comes too late");
}

#[test]
fn one_connection_opens_only_so_many_channels() {
    let place = Place::with(&["--channels", "4"]);
    let control = format!("-oControlPath={}", place.path("control").display());
    let master = place.ssh("ann", "shop", &["-M", "-N", &control]).spawn().unwrap();
    let _master = crate::harness::Running(master);
    await_that("the master", || place.path("control").exists());
    let _open: Vec<_> =
        (0..4).map(|_| place.long_session("ann", "shop", &[&control, "-oControlMaster=no"])).collect();
    let output = place
        .ssh("ann", "shop", &[&control, "-oControlMaster=no", "-oProxyCommand=false"])
        .arg("true")
        .output()
        .unwrap();
    assert!(!output.status.success());
}
