//! Attacks of strangers: floods, garbage, guesses, and a server that reaches for its visitors.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::changes::is_alive;
use crate::harness::{PASSWORD, PATIENCE, Place, Running, accept, await_end, await_that, keygen, text};
use crate::measure::memory_of;

/// Most memory of the router under attack, in bytes. A build for tests starts with a fifth of it.
pub(crate) const MEMORY_MAX: u64 = 160 << 20;

#[test]
fn a_flood_of_half_open_connections_is_dropped_and_passes() {
    let place = Place::with(&["--half-open", "10:30:60", "--login-time", "20s"]);
    let mut flood: Vec<TcpStream> = (0..400).map(|_| place.connect()).collect();
    let mut turned_away = 0;
    for stream in &mut flood {
        let mut answer = [0; 11];
        if stream.read_exact(&mut answer).is_ok() && &answer == b"Not allowed" {
            turned_away += 1;
        }
    }
    assert!((340..400).contains(&turned_away), "{turned_away} turned away");
    await_that("the refusals in the log", || refused(&place, "half_open") >= turned_away);
    // Those that were let in run into the deadline.
    await_that("the deadlines", || place.log().matches("ending=TooSlow").count() >= 400 - turned_away);
    assert!(place.run("true").status.success());
}

/// Connections that the log says were refused for a reason.
fn refused(place: &Place, why: &str) -> usize {
    let log = place.log();
    let lines = log.lines().filter(|line| line.contains("connections refused"));
    let counts = lines
        .filter_map(|line| line.split(&format!(" {why}=")).nth(1)?.split(' ').next()?.parse::<usize>().ok());
    counts.sum()
}

#[test]
fn a_flood_from_one_source_keeps_no_other_out() {
    let place = Place::with(&["--exempt", "192.0.2.0/24"]);
    let mut flood: Vec<TcpStream> = (0..1000).map(|_| place.connect()).collect();
    let from_elsewhere = ["-b", "127.0.0.2"];
    let output = place.ssh("ann", "shop", &from_elsewhere).arg("echo in").output().unwrap();
    assert_eq!(output.stdout, b"in\n");
    // Those beyond the source's share were told so.
    let last = flood.last_mut().unwrap();
    let mut answer = [0; 11];
    last.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"Not allowed");
    // A flood is few lines.
    await_that("the refusals in the log", || refused(&place, "half_open") >= 900);
    assert!(place.log().lines().count() < 200, "{}", place.log());
    assert!(memory_of(&place) < MEMORY_MAX, "{} MiB", memory_of(&place) >> 20);
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let place = Place::new();
    let mut session = place.long_session("ann", "shop", &[]);
    let long = [b"SSH-2.0-x\r\n".to_vec(), vec![0xff; 100_000]].concat();
    let zeros = [b"SSH-2.0-x\r\n".to_vec(), vec![0; 50_000]].concat();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 70_000], vec![b'a'; 300_000], long, zeros]
    {
        let mut stream = place.connect();
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
    // At once: what a source owes grows by its guesses, and shrinks by the second.
    await_that("a good password to be refused", || {
        let guesses: Vec<_> = (0..8).map(|_| Running(guess(&place, "shop", "wrong"))).collect();
        for mut guess in guesses {
            assert!(!await_end(&mut guess.0, PATIENCE).success());
        }
        !place.ssh_password("shop", PASSWORD, "true").status.success()
    });
    place.await_log("source refused for a while");
}

/// A client that tries one password.
pub(crate) fn guess(place: &Place, login: &str, password: &str) -> Child {
    let mut command = Command::new("sshpass");
    command.args(["-p", password, "ssh"]).args(place.options("other"));
    command.args(["-oPubkeyAuthentication=no", "-oNumberOfPasswordPrompts=1"]);
    command.args(["-p", &place.port.to_string(), &place.at(login), "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn guessing_with_keys_closes_the_door_too_and_a_good_key_among_others_does_not() {
    let place = Place::with(&["--exempt", "192.0.2.0/24"]);
    let keys: Vec<_> = (0..7).map(|n| place.path(&format!("key{n}"))).collect();
    keys.iter().for_each(|key| crate::harness::keygen(key));
    for _ in 0..5 {
        let mut command = place.ssh("other", "shop", &[]);
        for key in &keys {
            command.arg("-i").arg(key);
        }
        assert!(command.arg("-i").arg(place.path("ann")).arg("true").status().unwrap().success());
    }
    assert!(!place.log().contains("source refused for a while") && refused(&place, "penalty") == 0);
    await_that("the door to close", || {
        // Together: what a source owes goes down with the time.
        let wave: Vec<_> =
            (0..8).map(|_| Running(place.ssh("other", "shop", &[]).arg("true").spawn().unwrap())).collect();
        wave.into_iter().for_each(|mut guess| assert!(!await_end(&mut guess.0, PATIENCE).success()));
        place.log().contains("source refused for a while")
    });
    await_that("a line for who is refused", || {
        let _ = place.ssh("ann", "shop", &[]).arg("true").status();
        refused(&place, "penalty") > 0
    });
}

#[test]
fn a_connection_has_three_passwords_and_ten_refusals() {
    let place = Place::new();
    // Asked for a password, the client runs this: it notes that, and answers.
    let (ask, asked) = (place.path("ask"), place.path("asked"));
    write_program(&ask, &format!("echo asked >> {}; echo wrong", asked.display()));
    let mut command = Command::new("ssh");
    command.args(place.options("other")).args(["-oPubkeyAuthentication=no", "-oNumberOfPasswordPrompts=9"]);
    command.args(["-p", &place.port.to_string(), &place.at("shop"), "true"]);
    command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("Permission denied (publickey)."), "{output:?}");
    assert_eq!(fs::read_to_string(asked).unwrap(), "asked\n".repeat(3));
    place.await_log("refused=3 ");

    // The first refusal is that of no credential at all, by which a client learns what there is.
    for (others, code) in [(8, Some(0)), (11, Some(255))] {
        let mut command = Command::new("ssh");
        let options = place.options("other");
        command.args(&options[..options.len() - 2]).args(["-oBatchMode=yes", "-p", &place.port.to_string()]);
        for n in 0..others {
            let key = place.path(&format!("key{n}"));
            if !key.exists() {
                keygen(&key);
            }
            command.arg("-i").arg(&key);
        }
        command.arg("-i").arg(place.path("ann")).args([&place.at("shop"), "true"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), code, "ann's key after {others} others: {output:?}");
    }
}

/// Writes a shell script by another process: what this one has open, if only in a child of another story, can't be run.
pub(crate) fn write_program(path: &std::path::Path, script: &str) {
    let write = "printf '#!/bin/sh\n%s\n' \"$1\" > $0; chmod 700 $0";
    assert!(Command::new("sh").args(["-c", write]).arg(path).arg(script).status().unwrap().success());
}

#[test]
fn one_connection_opens_only_so_many_channels() {
    let place = Place::with(&["--channels", "4"]);
    let control = format!("-oControlPath={}", place.path("control").display());
    let _master = Running(place.ssh("ann", "shop", &["-M", "-N", &control]).spawn().unwrap());
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

/// Guesses have no penalty here, so every guess costs the router as much as a guess can.
#[test]
fn guesses_at_speed_are_refused_and_logged_and_hold_up_nobody_else() {
    let place = Place::with(&["--failure-delay", "0s", "--half-open", "200:30:300"]);
    let mut session = place.long_session("bob", "shop", &[]);
    let mut guesses = 0;
    for round in 0..3 {
        let wave: Vec<_> = (0..16)
            .map(|n| {
                let login = ["shop", "wiki", "server1", &format!("nobody{round}{n}")][n % 4].to_owned();
                Running(guess(&place, &login, &format!("guess{round}{n}")))
            })
            .collect();
        assert!(place.run("true").status.success() && is_alive(&mut session));
        for mut guess in wave {
            assert!(!await_end(&mut guess.0, PATIENCE).success());
            guesses += 1;
        }
    }
    await_that("a line for each guess", || place.log().matches("refused=1 ").count() == guesses);
    assert!(memory_of(&place) < MEMORY_MAX, "{} MiB", memory_of(&place) >> 20);
    assert!(is_alive(&mut session));
    // A password that is good somewhere is good only there.
    assert!(place.ssh_password("shop", PASSWORD, "true").status.success());
    assert!(!place.ssh_password("wiki", PASSWORD, "true").status.success());
}

#[test]
fn packets_that_announce_more_than_they_may_and_never_end_fill_no_memory() {
    let place = Place::with(&["--half-open", "300:30:400"]);
    let mut session = place.long_session("ann", "shop", &[]);
    let started = memory_of(&place);
    // As large as a packet may be, without its last byte; and larger.
    let open = |length: u32, sent: usize| {
        let mut stream = place.connect();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let head = [&b"SSH-2.0-story\r\n"[..], &length.to_be_bytes(), &[4]].concat();
        // It may be gone before it has heard everything.
        let _ = stream.write_all(&head).and_then(|()| stream.write_all(&vec![0; sent]));
        stream
    };
    let streams: Vec<TcpStream> = (0..100)
        .map(|n| if n % 2 == 0 { open(256 << 10, (256 << 10) - 2) } else { open(u32::MAX, 1 << 20) })
        .collect();
    assert!(is_alive(&mut session) && place.run("true").status.success());
    let grown = memory_of(&place).saturating_sub(started);
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
    drop(streams);
    assert!(is_alive(&mut session));
}

/// The beginning of a real client, with bytes changed, left out and repeated.
#[test]
fn a_beginning_that_was_tampered_with_ends_its_own_connection_only() {
    let place = Place::with(&["--login-time", "10s", "--half-open", "300:30:400"]);
    let mut session = place.long_session("ann", "shop", &[]);
    let real = beginning_of_a_client();
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut throw = |most: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % most as u64).unwrap()
    };
    for round in 0..150 {
        let mut bytes = real.clone();
        for _ in 0..=round % 5 {
            let (at, other) = (throw(bytes.len()), throw(bytes.len()));
            match throw(3) {
                0 => bytes[at] ^= 1 << throw(8),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_within(at.min(other)..at.max(other)),
            }
        }
        let mut stream = place.connect();
        // It may be gone before it has heard everything.
        let _ = stream.write_all(&bytes);
        if round % 10 == 0 {
            assert!(is_alive(&mut session));
        }
    }
    assert!(place.run("true").status.success());
    await_that("their ends", || place.log().matches("nobody logged in").count() >= 150);
    assert!(!place.log().contains("panicked"), "{}", place.log());
}

/// The name and the first packet of the real client.
fn beginning_of_a_client() -> Vec<u8> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-oBatchMode=yes", "-p", &port, "nobody@127.0.0.1"]);
    let _ssh = Running(command.stderr(Stdio::null()).spawn().unwrap());
    let mut stream = accept(&listener);
    stream.write_all(b"SSH-2.0-story\r\n").unwrap();
    let mut said = Vec::new();
    let mut part = [0; 4096];
    while said.len() < 1000 {
        let read = stream.read(&mut part).unwrap();
        assert_ne!(read, 0, "the client left");
        said.extend_from_slice(&part[..read]);
    }
    said
}

/// The agreement is signed and the rest is sealed, so a byte that changes on the way ends the connection.
#[test]
fn a_byte_that_changes_on_the_way_ends_its_own_connection_only() {
    let place = Place::with(&["--login-time", "10s"]);
    let mut session = place.long_session("ann", "shop", &[]);
    let (code, all) = through_a_proxy(&place, None);
    assert_eq!(code, Some(3));
    // The name; then the login and the command. What a client says last it doesn't wait for.
    for at in [30, all - 600, all - 450, all - 300] {
        let (code, passed) = through_a_proxy(&place, Some(at));
        assert_eq!(code, Some(255), "byte {at} of {all}, {passed} passed");
        assert!(is_alive(&mut session));
    }
    assert!(!place.log().contains("panicked"), "{}", place.log());
}

/// A session of ann's over a proxy that changes one byte of what the client says: its exit code, and how much that was.
fn through_a_proxy(place: &Place, change: Option<usize>) -> (Option<i32>, usize) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (between, mut router) = (listener.local_addr().unwrap().port(), place.connect());
    let proxy = std::thread::spawn(move || {
        let mut client = accept(&listener);
        let (mut back_from, mut back_to) = (router.try_clone().unwrap(), client.try_clone().unwrap());
        let back = std::thread::spawn(move || {
            // Either end may be the first to leave.
            let _ = std::io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(std::net::Shutdown::Both);
        });
        let (mut passed, mut part) = (0, [0; 4096]);
        while let Ok(read @ 1..) = client.read(&mut part) {
            if let Some(at) = change.filter(|at| (passed..passed + read).contains(at)) {
                part[at - passed] ^= 0x40;
            }
            passed += read;
            if router.write_all(&part[..read]).is_err() {
                break;
            }
        }
        let _ = router.shutdown(std::net::Shutdown::Both);
        back.join().unwrap();
        passed
    });
    let alias = format!("-oHostKeyAlias=[{}]:{}", place.host(), place.port);
    let mut command = Command::new("ssh");
    command.args(place.options("ann")).args(["-oBatchMode=yes", &alias, "-p", &between.to_string()]);
    // Where a length has changed, both would wait for ever.
    command.args(["-oServerAliveInterval=2", "-oServerAliveCountMax=2"]);
    command.args(["shop@127.0.0.1", "exit 3"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    (output.status.code(), proxy.join().unwrap())
}
