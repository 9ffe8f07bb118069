//! Limits that keep the router usable for its people: each line of the operator's list, once.
//!
//! Floods and garbage are in `attacks`, revocation in `changes`, equal answers and algorithms in `login`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Instant;

use berth_schema::route::{RouteUser, Routes};

use crate::attacks::{guess, write_program};
use crate::changes::{is_alive, signal};
use crate::harness::{BCRYPT, PASSWORD, PATIENCE, Place, Running, await_end, await_that, text};
use crate::measure::most_memory_of;

/// Everybody has this password, at a cost that takes a processor for a while.
fn with_password(place: &Place, cost: u32) -> Routes {
    let hash = bcrypt::hash(PASSWORD, cost).unwrap();
    let users: Vec<_> = place.routes().users().map(|(name, user)| (name.clone(), user.clone())).collect();
    users.into_iter().fold(place.routes(), |routes, (name, user)| {
        routes.with_user(name, RouteUser { password_hash: Some(hash.clone()), ..user })
    })
}

#[test]
fn who_thinks_about_the_password_for_too_long_is_shown_out() {
    let place = Place::with(&["--login-time", "10s"]);
    // Whoever has logged in has all the time.
    let mut session = place.long_session("ann", "shop", &[]);
    let ask = place.path("ask");
    write_program(&ask, "exec sleep 60");
    let mut command = Command::new("ssh");
    command.args(place.options("other")).args(["-oPubkeyAuthentication=no", "-p", &place.port.to_string()]);
    command.args([&place.at("shop"), "true"]).env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force");
    let _ssh = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    place.await_log("ending=TooSlow");
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
    let mut guesses: Vec<_> = (0..4).map(|_| Running(guess(&place, "shop", "wrong"))).collect();
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
            "the hash of this password costs too much to check, so the password opens nothing user={name}"
        ));
    }
    for login in ["shop", "wiki", "nothing", "nobody"] {
        for password in ["wrong", PASSWORD] {
            let tried = await_end(&mut guess(&place, login, password), PATIENCE);
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
    place.put_routes(&with_password(&place, 12).render().unwrap());
    place.await_log("routes changed");
    let time = |login: &str| {
        let start = Instant::now();
        assert!(!await_end(&mut guess(&place, login, "wrong"), PATIENCE).success());
        start.elapsed()
    };
    let (mut known, mut unknown): (Vec<_>, Vec<_>) =
        (0..5).map(|n| (time("shop"), time(&format!("nothing{n}")))).unzip();
    known.sort_unstable();
    unknown.sort_unstable();
    // A stand-in has two people with a password where `shop` has three; no check at all would take a sixth.
    assert!(unknown[2] > known[2] / 3, "known {known:?}, unknown {unknown:?}");
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
    let place = Place::with(&["--keepalive", "1s"]);
    let client = place.long_session("ann", "shop", &[]);
    signal(&client, "STOP");
    place.await_log("session ended");
    drop(client);
    // On the other side: the process that serves the session at the server.
    let mut other = place.long_session("bob", "shop", &[]);
    let mut victim = place.ssh("carol", "shop", &[]);
    victim.arg("echo $PPID; cat").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut victim = Running(victim.spawn().unwrap());
    let mut server = String::new();
    BufReader::new(victim.0.stdout.as_mut().unwrap()).read_line(&mut server).unwrap();
    let _frozen = Frozen::new(server.trim());
    assert_eq!(await_end(&mut victim.0, PATIENCE).code(), Some(255));
    await_that("both ends", || place.log().matches("session ended").count() == 2);
    assert!(is_alive(&mut other));
}

/// The router forwards nothing itself: where the server's sshd refuses, nobody comes.
#[test]
fn a_forwarding_reaches_what_the_server_lets_it_reach_and_never_what_the_router_could() {
    let place = Place::new();
    let (near, local) = (TcpListener::bind(("127.0.0.1", 0)).unwrap(), place.free_port());
    let keys = fs::read_to_string(place.path("upstream.pub")).unwrap();
    fs::write(place.path("authorized_keys"), format!("restrict {keys}")).unwrap();
    let forward = format!("{}:{local}:127.0.0.1:{}", place.host(), near.local_addr().unwrap().port());
    let mut ssh = place.ssh("ann", "shop", &["-N", "-L", &forward]);
    let mut ssh = Running(ssh.stderr(Stdio::null()).spawn().unwrap());
    place.await_listener(&mut ssh, local);
    for _ in 0..3 {
        let mut stream = place.connect_to(local);
        let mut nothing = Vec::new();
        // Closed, or reset.
        let _ = stream.read_to_end(&mut nothing);
        assert!(nothing.is_empty());
    }
    near.set_nonblocking(true).unwrap();
    assert_eq!(near.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
    let remote = place.free_port();
    let back = format!("{}:{remote}:127.0.0.1:1", place.host());
    let flags = ["-N", "-oExitOnForwardFailure=yes", "-R", &back];
    let output = place.ssh("ann", "shop", &flags).output().unwrap();
    assert!(!output.status.success(), "{}", text(&output.stderr));
    assert!(std::net::TcpStream::connect((place.host(), remote)).is_err());
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
