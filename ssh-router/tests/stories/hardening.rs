//! What keeps the router usable for those who may use it: each line of the operator's list, once.
//!
//! Floods and garbage are in `attacks`, revocation in `changes`, equal answers and algorithms in `login`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use berth_schema::route::{RouteUser, Routes};

use crate::changes::{is_alive, signal};
use crate::harness::{
    BCRYPT, PASSWORD, Place, Running, await_end, await_port, free_port, most_memory_of, text,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Everybody has this password, at a cost that takes a processor for a while.
fn with_password(place: &Place, cost: u32) -> Routes {
    let hash = bcrypt::hash(PASSWORD, cost).unwrap();
    let users: Vec<_> = place.routes().users().map(|(name, user)| (name.clone(), user.clone())).collect();
    users.into_iter().fold(place.routes(), |routes, (name, user)| {
        routes.with_user(name, RouteUser { password_hash: Some(hash.clone()), ..user })
    })
}

fn try_password(place: &Place, login: &str, password: &str) -> Child {
    let mut command = Command::new("sshpass");
    command.args(["-p", password, "ssh"]).args(place.options("other"));
    command.args(["-oPubkeyAuthentication=no", "-oNumberOfPasswordPrompts=1"]);
    command.args(["-p", &place.port.to_string(), &format!("{login}@127.0.0.1"), "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn who_thinks_about_the_password_for_too_long_is_shown_out() {
    let place = Place::with(&["--login-time", "2s"]);
    let ask = place.path("ask");
    // Written by another process: what this one has open, if only in a child of another story, can't be run.
    let write = "printf '#!/bin/sh\nsleep 20\n' > $0; chmod 700 $0";
    assert!(Command::new("sh").args(["-c", write]).arg(&ask).status().unwrap().success());
    let mut command = Command::new("ssh");
    command.args(place.options("other")).args(["-oPubkeyAuthentication=no", "-p", &place.port.to_string()]);
    command.args(["shop@127.0.0.1", "true"]).env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force");
    let _ssh = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    place.await_log("ending=TooSlow");
    // Whoever has logged in has all the time.
    let mut session = place.long_session("ann", "shop", &[]);
    std::thread::sleep(Duration::from_millis(2500));
    assert!(is_alive(&mut session));
}

/// One password after the other takes a processor; sessions go on beside it.
#[test]
fn passwords_that_are_checked_hold_up_no_session() {
    let place = Place::with(&["--password-checks", "1"]);
    place.put_routes(&with_password(&place, 12).render().unwrap());
    place.await_log("routes changed");
    let mut session = place.long_session("ann", "shop", &[]);
    // Three hashes for each: the owner's, the member's, the admin's.
    let mut guesses: Vec<_> = (0..4).map(|_| Running(try_password(&place, "shop", "wrong"))).collect();
    let mut echoes = 0;
    while guesses.iter_mut().any(|guess| guess.0.try_wait().unwrap().is_none()) {
        assert!(is_alive(&mut session));
        echoes += 1;
    }
    assert!(echoes > 20, "{echoes} echoes during twelve checks");
}

/// A member writes their own hash: one whose check would take a processor for days, and one that would take all memory,
/// are not checked, and nobody else waits for them.
#[test]
fn hashes_that_cost_too_much_to_check_open_nothing_and_hold_up_nobody() {
    let place = Place::with(&["--failure-delay", "0s", "--password-checks", "1"]);
    let argon = "c29tZXNhbHRzb21lc2FsdA$WwDyHZNPo7jvJmFvNJzFfHbnBzRA8pe5ZoPnDTJ6VBs";
    let dear = [
        ("ann", BCRYPT.replace("$10$", "$31$")),
        ("carol", format!("$argon2id$v=19$m=4194304,t=1,p=1${argon}")),
        ("eve", format!("$argon2id$v=19$m=19456,t=4294967295,p=1${argon}")),
    ];
    let users = place.routes();
    let with = |routes: Routes, (name, hash): (&str, String)| {
        let user = users.user(name).unwrap().1.clone();
        routes.with_user(name.parse().unwrap(), RouteUser { password_hash: Some(hash), ..user })
    };
    let routes = dear.into_iter().fold(place.routes(), with);
    place.put_routes(&with(routes, ("bob", BCRYPT.to_owned())).render().unwrap());
    place.await_log("routes changed");
    for name in ["ann", "carol", "eve"] {
        place.await_log(&format!(
            "this password's hash costs too much to check: it opens nothing user={name}"
        ));
    }
    for login in ["shop", "wiki", "nothing", "nobody"] {
        for password in ["wrong", PASSWORD] {
            let tried = await_end(&mut try_password(&place, login, password), PATIENCE);
            assert_eq!(tried.success(), (login, password) == ("shop", PASSWORD), "{login}");
        }
    }
    place.await_log("user=bob server=shop by=\"password\"");
    assert!(most_memory_of(&place) < 512 << 20, "{} MiB", most_memory_of(&place) >> 20);
}

/// In time too: a login that no server has costs what one costs that is there.
#[test]
fn an_unknown_server_takes_the_time_of_a_wrong_password() {
    let place = Place::with(&["--failure-delay", "0s"]);
    place.put_routes(&with_password(&place, 13).render().unwrap());
    place.await_log("routes changed");
    let time = |login: &str| {
        let start = Instant::now();
        assert!(!await_end(&mut try_password(&place, login, "wrong"), PATIENCE).success());
        start.elapsed()
    };
    let (mut known, mut unknown): (Vec<_>, Vec<_>) =
        (0..3).map(|n| (time("shop"), time(&format!("nothing{n}")))).unzip();
    known.sort_unstable();
    unknown.sort_unstable();
    // A stand-in has two people with a password where `shop` has three; no check at all would take a sixth.
    assert!(unknown[1] > known[1] / 3, "known {known:?}, unknown {unknown:?}");
}

#[test]
fn each_session_has_a_line_when_it_begins_and_one_when_it_ends() {
    let place = Place::new();
    let output = place.run("head -c 300000 /dev/zero; cat > /dev/null");
    assert_eq!(output.stdout.len(), 300_000);
    place.await_log("session ended");
    let log = place.log();
    let line = |what: &str| log.lines().find(|line| line.contains(what)).unwrap().to_owned();
    let field = |line: &str, name: &str| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
        value.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
    };
    let (begin, end) = (line("session began"), line("session ended"));
    for line in [&begin, &end] {
        assert!(line.starts_with("20") && line[..30].contains('T'), "when: {line}");
        assert!(field(line, "peer").starts_with("127.0.0.1:"), "from where: {line}");
        assert_eq!((field(line, "user"), field(line, "server")), ("ann".into(), "shop".into()));
        assert_eq!(field(line, "by"), "\"key\"");
    }
    assert!(field(&end, "sent").parse::<u64>().unwrap() > 300_000, "{end}");
    assert!((1_000..100_000).contains(&field(&end, "received").parse::<u64>().unwrap()), "{end}");
    assert_eq!((field(&end, "seconds").parse::<u64>().is_ok(), field(&end, "ending")), (true, "Left".into()));

    assert!(!place.ssh_password("shop", "wrong", "true").status.success());
    place.await_log("refused=1");
    let log = place.log();
    let failed = log.lines().find(|line| line.contains("refused=1")).unwrap();
    assert!(failed.contains("nobody logged in") && failed.contains("ending=Left"), "{failed}");
    assert!(!log.contains("wrong") && !log.contains("$2b$") && !log.contains("AAAA"), "no secret in the log");
}

#[test]
fn a_peer_that_falls_silent_is_given_up_on_either_side() {
    let place = Place::with(&["--keepalive", "200ms"]);
    let client = place.long_session("ann", "shop", &[]);
    signal(&client, "STOP");
    place.await_log("session ended");
    drop(client);
    // On the other side: the process that serves the session at the server.
    let mut other = place.long_session("bob", "shop", &[]);
    let mut victim = place.ssh("carol", "shop", &[]);
    let mut victim = Running(victim.arg("echo $PPID; sleep 60").stdout(Stdio::piped()).spawn().unwrap());
    let mut server = String::new();
    BufReader::new(victim.0.stdout.as_mut().unwrap()).read_line(&mut server).unwrap();
    let _frozen = Frozen::new(server.trim());
    assert_eq!(await_end(&mut victim.0, PATIENCE).code(), Some(255));
    place.await_log("ending=Server");
    assert!(is_alive(&mut other));
}

/// Asked by the client, the router answers.
#[test]
fn a_client_that_asks_whether_the_router_is_there_is_answered() {
    let place = Place::new();
    let flags = ["-oServerAliveInterval=1", "-oServerAliveCountMax=1"];
    let mut session = place.long_session("ann", "shop", &flags);
    std::thread::sleep(Duration::from_secs(4));
    assert!(is_alive(&mut session));
}

/// The router forwards nothing itself: where the server's sshd refuses, nobody comes.
#[test]
fn a_forwarding_reaches_what_the_server_lets_it_reach_and_never_what_the_router_could() {
    let place = Place::new();
    let (near, local) = (TcpListener::bind(("127.0.0.1", 0)).unwrap(), free_port());
    let keys = fs::read_to_string(place.path("upstream.pub")).unwrap();
    fs::write(place.path("authorized_keys"), format!("restrict {keys}")).unwrap();
    let forward = format!("127.0.0.1:{local}:127.0.0.1:{}", near.local_addr().unwrap().port());
    let mut ssh = place.ssh("ann", "shop", &["-N", "-L", &forward]);
    let ssh = Running(ssh.stderr(Stdio::null()).spawn().unwrap());
    await_port(local);
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", local)).unwrap();
        let mut nothing = Vec::new();
        // Closed, or reset.
        let _ = stream.read_to_end(&mut nothing);
        assert!(nothing.is_empty());
    }
    near.set_nonblocking(true).unwrap();
    assert_eq!(near.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
    let remote = free_port();
    let back = format!("127.0.0.1:{remote}:127.0.0.1:1");
    let flags = ["-N", "-oExitOnForwardFailure=yes", "-R", &back];
    let output = place.ssh("ann", "shop", &flags).output().unwrap();
    assert!(!output.status.success(), "{}", text(&output.stderr));
    assert!(std::net::TcpStream::connect(("127.0.0.1", remote)).is_err());
    // One that the client opened to see whether the port is there comes first.
    drop(ssh);
    place.await_log("unopened=4");
}

/// The process that carries the session's packets; it stands still until this is dropped.
struct Frozen(String);

impl Frozen {
    fn new(process: &str) -> Self {
        assert!(Command::new("kill").args(["-STOP", process]).status().unwrap().success());
        Self(process.to_owned())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-CONT", &self.0]).status();
    }
}
