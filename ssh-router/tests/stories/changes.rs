//! What changes under live sessions: the routes file, the router, the server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_schema::route::{RouteUser, Routes};

use crate::harness::{Place, Running, await_end, await_that, router_command, start_router, text};

/// Whether a session still carries what is said.
pub(crate) fn is_alive(session: &mut Running) -> bool {
    let said = session.0.stdin.as_mut().unwrap().write_all(b"said\n").is_ok();
    let mut back = [0; 5];
    said && session.0.stdout.as_mut().unwrap().read_exact(&mut back).is_ok() && &back == b"said\n"
}

fn without_keys(routes: Routes, name: &str) -> Routes {
    let (user, there) = routes.user(name).map(|(name, user)| (name.clone(), user.clone())).unwrap();
    routes.with_user(user, RouteUser { keys: vec![], ..there })
}

#[test]
fn a_revoked_key_ends_its_sessions_within_a_second_and_no_others() {
    let place = Place::new();
    let mut ann = place.long_session("ann", "shop", &[]);
    let mut bob = place.long_session("bob", "shop", &[]);
    assert!(is_alive(&mut ann) && is_alive(&mut bob));
    place.put_routes(&without_keys(place.routes(), "ann").render().unwrap());
    let start = Instant::now();
    assert!(!await_end(&mut ann.0, Duration::from_secs(2)).success());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(is_alive(&mut bob));
    let again = place.ssh("ann", "shop", &[]).arg("true").output().unwrap();
    assert_eq!(again.status.code(), Some(255));
    place.await_log("ending=Revoked");
}

#[test]
fn a_removed_server_ends_its_sessions_and_other_changes_end_none() {
    let place = Place::new();
    let mut ann = place.long_session("ann", "shop", &[]);
    place.put_routes(&without_keys(place.routes(), "eve").render().unwrap());
    place.await_log("routes changed");
    assert!(is_alive(&mut ann));
    place.put_routes(&Routes::new(place.path("upstream")).render().unwrap());
    assert!(!await_end(&mut ann.0, Duration::from_secs(2)).success());
}

#[test]
fn a_broken_routes_file_leaves_the_last_good_one() {
    let place = Place::new();
    let mut ann = place.long_session("ann", "shop", &[]);
    place.put_routes("version = 1\nupstream_key = \"nowhere\n");
    place.await_log("the last good routes stay");
    assert!(is_alive(&mut ann) && place.run("true").status.success());
    fs::remove_file(place.path("routes.toml")).unwrap();
    place.await_log("can't be read");
    assert!(is_alive(&mut ann) && place.run("true").status.success());
    place.put_routes(&without_keys(place.routes(), "ann").render().unwrap());
    assert!(!await_end(&mut ann.0, Duration::from_secs(2)).success());
}

#[test]
fn a_router_without_good_routes_does_not_start_and_says_why() {
    let place = Place::new();
    fs::write(place.path("routes.toml"), "version = 2\n").unwrap();
    let output = router_command(place.folder.path(), &["--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("this is not a routes file of version 1"), "{output:?}");
}

#[test]
fn after_sigterm_sessions_finish_and_a_second_router_takes_over_the_address() {
    let mut place = Place::new();
    let mut session = place.long_session("ann", "shop", &[]);
    let second = start_router(place.folder.path(), place.port, &[]);
    await_that("the second router", || place.log().matches(" listening ").count() == 2);
    let mut first = std::mem::replace(&mut place.router, second);
    signal(&first, "TERM");
    place.await_log("no longer accepting");
    for _ in 0..5 {
        assert!(place.run("true").status.success());
    }
    assert!(is_alive(&mut session));
    drop(session.0.stdin.take());
    assert!(await_end(&mut session.0, Duration::from_secs(5)).success());
    assert!(await_end(&mut first.0, Duration::from_secs(5)).success());
}

#[test]
fn a_second_sigterm_and_the_deadline_end_what_is_left() {
    for (flags, signals) in [(&["--finish", "1h"][..], 2), (&["--finish", "300ms"], 1)] {
        let mut place = Place::with(flags);
        let mut session = place.long_session("ann", "shop", &[]);
        signal(&place.router, "TERM");
        place.await_log("no longer accepting");
        if signals == 2 {
            assert!(is_alive(&mut session));
            signal(&place.router, "TERM");
        }
        assert!(!await_end(&mut session.0, Duration::from_secs(3)).success());
        assert!(await_end(&mut place.router.0, Duration::from_secs(3)).success());
    }
}

#[test]
fn a_listening_socket_can_be_handed_over_as_standard_input() {
    let mut place = Place::new();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    place.port = listener.local_addr().unwrap().port();
    let known =
        format!("[127.0.0.1]:{} {}", place.port, crate::harness::public(place.folder.path(), "router"));
    fs::write(place.path("known_hosts"), known).unwrap();
    let log = fs::File::create(place.path("second.log")).unwrap();
    let router = router_command(place.folder.path(), &["--listen", "stdin"])
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stderr(log)
        .spawn()
        .unwrap();
    let _router = Running(router);
    // The socket listened before the router did: nothing is refused meanwhile.
    assert!(place.run("true").status.success());
}

#[test]
fn a_server_that_dies_ends_its_sessions_with_what_they_had_said() {
    let place = Place::new();
    let mut command = place.ssh("ann", "shop", &[]);
    command.arg("echo last words; sleep 0.5; kill -KILL $PPID; sleep 5").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    assert_eq!(await_end(&mut child, Duration::from_secs(5)).code(), Some(255));
    assert!(start.elapsed() < Duration::from_secs(4));
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "last words\n");
    await_that("the session's end", || place.log().contains("ending=Server"));
}

pub(crate) fn signal(process: &Running, name: &str) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}
