//! Changes under live sessions: of the routes file, the router and the server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_schema::route::{RouteServer, RouteUser, Routes};

use crate::harness::{
    PASSWORD, PATIENCE, Place, Running, await_end, await_that, public, router_command, text,
};

/// Returns whether a session still carries data.
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
    let mut bob = place.long_session("bob", "shop", &[]);
    // A machine under load may be late once; the router isn't each time.
    let fastest = (1..=5).find(|tries| {
        place.put_routes(&place.routes().render().unwrap());
        await_that("the key to open", || place.run("true").status.success());
        let mut ann = place.long_session("ann", "shop", &[]);
        assert!(is_alive(&mut ann) && is_alive(&mut bob));
        place.put_routes(&without_keys(place.routes(), "ann").render().unwrap());
        assert!(!await_end(&mut ann.0, PATIENCE).success());
        await_that("the end", || place.log().matches("ending=Revoked").count() == *tries);
        place.since_the_routes_changed("ending=Revoked") < Duration::from_secs(1)
    });
    assert!(fastest.is_some(), "five times it took more than a second");
    assert!(is_alive(&mut bob));
    let again = place.ssh("ann", "shop", &[]).arg("true").output().unwrap();
    assert_eq!(again.status.code(), Some(255));
    place.await_log("ending=Revoked");
    // The key is nobody's now.
    place.await_log("login=\"shop\" refused=1");
}

/// The routes without a user, and without the memberships that they had.
fn without_user(routes: &Routes, name: &str) -> Routes {
    let users = routes.users().filter(|(user, _)| user.as_str() != name);
    let new = Routes::new(routes.upstream_key().to_owned());
    let new = users.fold(new, |new, (user, there)| new.with_user(user.clone(), there.clone()));
    routes.servers().fold(new, |new, (server, there)| {
        let members = there.members.iter().filter(|member| member.as_str() != name).cloned().collect();
        new.with_server(server.clone(), RouteServer { members, ..there.clone() }).unwrap()
    })
}

/// A session by password, which lives until it is told to end.
fn long_session_by_password(place: &Place) -> Running {
    let mut command = Command::new("sshpass");
    command.args(["-p", PASSWORD, "ssh"]).args(place.options("other"));
    command.args(["-oPubkeyAuthentication=no", "-p", &place.port.to_string(), &place.at("shop"), "cat"]);
    let session = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut session = Running(session.unwrap());
    assert!(is_alive(&mut session));
    session
}

/// A session ends with anything by which its person was allowed to enter, not only with the key. Other sessions go on.
#[test]
fn a_session_ends_with_its_user_its_membership_its_admins_role_or_its_password() {
    let place = Place::new();
    let routes = place.routes();
    let changed = |name: &str, change: fn(&mut RouteUser)| {
        let (user, there) = routes.user(name).unwrap();
        let mut there = there.clone();
        change(&mut there);
        routes.clone().with_user(user.clone(), there)
    };
    let text = routes.render().unwrap();
    let (ann, bob, carol) = (0, 1, 2);
    let by_password = 3;
    let cases = [
        ("bob is removed", without_user(&routes, "bob").render().unwrap(), vec![bob]),
        ("bob's membership", text.replace("members = [\"bob\"]", "members = []"), vec![bob]),
        ("carol's role", changed("carol", |carol| carol.admin = false).render().unwrap(), vec![carol]),
        ("no password", changed("ann", |ann| ann.password_hash = None).render().unwrap(), vec![by_password]),
        (
            "another hash, if of the same password",
            changed("ann", |ann| ann.password_hash = Some(bcrypt::hash(PASSWORD, 10).unwrap()))
                .render()
                .unwrap(),
            vec![by_password],
        ),
        ("another owner", text.replacen("owner = \"ann\"", "owner = \"eve\"", 1), vec![ann, by_password]),
    ];
    for (what, change, end) in cases {
        assert_ne!(change, text, "{what}");
        place.put_routes(&text);
        await_that("everybody's keys", || {
            ["ann", "bob", "carol"]
                .iter()
                .all(|who| place.ssh(who, "shop", &[]).arg("true").status().unwrap().success())
        });
        let mut sessions = Vec::from(["ann", "bob", "carol"].map(|who| place.long_session(who, "shop", &[])));
        sessions.push(long_session_by_password(&place));
        place.put_routes(&change);
        for (n, session) in sessions.iter_mut().enumerate() {
            match end.contains(&n) {
                true => assert!(!await_end(&mut session.0, PATIENCE).success(), "{what}: {n}"),
                false => assert!(is_alive(session), "{what}: {n}"),
            }
        }
        // Those that ended have ended by now, and these still haven't.
        for (n, session) in sessions.iter_mut().enumerate().filter(|(n, _)| !end.contains(n)) {
            assert!(is_alive(session), "{what}: {n}");
        }
    }
}

#[test]
fn a_removed_server_ends_its_sessions_and_other_changes_end_none() {
    let place = Place::new();
    let mut ann = place.long_session("ann", "shop", &[]);
    place.put_routes(&without_keys(place.routes(), "eve").render().unwrap());
    place.await_log("routes changed");
    assert!(is_alive(&mut ann));
    place.put_routes(&Routes::new(place.path("upstream")).render().unwrap());
    assert!(!await_end(&mut ann.0, PATIENCE).success());
}

/// The folder that is watched doesn't change: the file is a link into another.
#[test]
fn a_change_that_nobody_tells_of_is_seen() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("routes.toml");
    fs::copy(place.path("routes.toml"), &file).unwrap();
    fs::remove_file(place.path("routes.toml")).unwrap();
    std::os::unix::fs::symlink(&file, place.path("routes.toml")).unwrap();
    let mut ann = place.long_session("ann", "shop", &[]);
    let mut bob = place.long_session("bob", "shop", &[]);
    let new = elsewhere.path().join("new");
    fs::write(&new, without_keys(place.routes(), "ann").render().unwrap()).unwrap();
    fs::rename(new, file).unwrap();
    assert!(!await_end(&mut ann.0, PATIENCE).success());
    assert!(is_alive(&mut bob));
    // Another key for the way to the servers, in the same file: the next session fails, this one goes on.
    crate::harness::keygen(&place.path("stranger"));
    fs::rename(place.path("stranger"), place.path("upstream")).unwrap();
    await_that("the other key", || {
        let output = place.ssh("bob", "shop", &[]).arg("true").output().unwrap();
        text(&output.stderr).contains("it doesn't let the router in")
    });
    assert!(is_alive(&mut bob));
}

#[test]
fn a_file_that_is_replaced_all_the_time_still_revokes_and_ends_nothing_else() {
    let place = Place::new();
    let mut ann = place.long_session("ann", "shop", &[]);
    let mut bob = place.long_session("bob", "shop", &[]);
    let with = place.routes().render().unwrap();
    let without = without_keys(place.routes(), "ann").render().unwrap();
    let (revoked, over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let text = if revoked.load(Ordering::Relaxed) { &without } else { &with };
                place.put_routes(&format!("# {n}\n{text}"));
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        await_that("many changes", || place.log().matches("routes changed").count() >= 20);
        assert!(is_alive(&mut ann) && is_alive(&mut bob));
        revoked.store(true, Ordering::Relaxed);
        let status = await_end(&mut ann.0, PATIENCE);
        over.store(true, Ordering::Relaxed);
        assert!(!status.success());
    });
    assert!(is_alive(&mut bob));
}

#[test]
fn no_other_change_of_the_file_ends_a_session() {
    let place = Place::new();
    let mut sessions = [("ann", "shop"), ("bob", "shop"), ("carol", "server1")]
        .map(|(who, login)| place.long_session(who, login, &[]));
    let routes = place.routes();
    let user = |name: &str| routes.user(name).unwrap().1.clone();
    let with = |name: &str, user: RouteUser| routes.clone().with_user(name.parse().unwrap(), user);
    let more = |user: RouteUser, key: &str| {
        let other = public(place.folder.path(), key).parse().unwrap();
        RouteUser { keys: [vec![other], user.keys].concat(), ..user }
    };
    let text = routes.render().unwrap();
    let changes = [
        ("another password", with("ann", RouteUser { password_hash: None, ..user("ann") }).render().unwrap()),
        ("one more key", with("ann", more(user("ann"), "other")).render().unwrap()),
        ("one more admin", with("bob", RouteUser { admin: true, ..user("bob") }).render().unwrap()),
        ("one more member", text.replace("members = [\"bob\"]", "members = [\"eve\", \"bob\"]")),
        ("another owner, who stays a member", {
            let owner = text.replace("owner = \"ann\"", "owner = \"eve\"");
            owner.replace("members = [\"bob\"]", "members = [\"ann\", \"bob\"]")
        }),
        ("another host key and port of the server", {
            let (host, other) = (public(place.folder.path(), "host"), public(place.folder.path(), "other"));
            text.replace(&host, &other).replace(&format!("port = {}", place.sshd_port), "port = 1")
        }),
        ("another name of the server", text.replace("[servers.shop]", "[servers.store]")),
        ("one more user", with("zoe", user("eve")).render().unwrap()),
    ];
    for (n, (what, change)) in changes.into_iter().enumerate() {
        assert_ne!(change, text, "{what}");
        place.put_routes(&change);
        await_that(what, || place.log().matches("routes changed").count() == n + 1);
        assert!(sessions.iter_mut().all(is_alive), "{what}");
    }
}

#[test]
fn a_broken_routes_file_leaves_the_last_good_one() {
    let place = Place::new();
    let mut ann = place.long_session("ann", "shop", &[]);
    place.put_routes("version = 1\nupstream_key = \"nowhere\n");
    place.await_log("the last good routes stay");
    assert!(is_alive(&mut ann) && place.run("true").status.success());
    fs::remove_file(place.path("routes.toml")).unwrap();
    place.await_log("cannot read the routes file");
    assert!(is_alive(&mut ann) && place.run("true").status.success());
    place.put_routes(&without_keys(place.routes(), "ann").render().unwrap());
    assert!(!await_end(&mut ann.0, PATIENCE).success());
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
    let second = place.start_router(place.port, &[]);
    await_that("the second router", || place.log().matches(" listening ").count() == 2);
    let mut first = std::mem::replace(&mut place.router, second);
    signal(&first, "TERM");
    place.await_log("no longer accepting");
    for _ in 0..5 {
        assert!(place.run("true").status.success());
    }
    assert!(is_alive(&mut session));
    drop(session.0.stdin.take());
    assert!(await_end(&mut session.0, PATIENCE).success());
    assert!(await_end(&mut first.0, PATIENCE).success());
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
        assert!(!await_end(&mut session.0, PATIENCE).success());
        assert!(await_end(&mut place.router.0, PATIENCE).success());
    }
}

#[test]
fn a_listening_socket_can_be_handed_over_as_standard_input() {
    let mut place = Place::new();
    let listener = std::net::TcpListener::bind((place.host(), 0)).unwrap();
    place.lead_to(listener.local_addr().unwrap().port());
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
    command.arg("echo last words; read word; kill -KILL $PPID; cat");
    let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let (mut stdin, mut stdout) = (child.0.stdin.take().unwrap(), child.0.stdout.take().unwrap());
    let mut said = [0; 11];
    stdout.read_exact(&mut said).unwrap();
    stdin.write_all(b"die\n").unwrap();
    assert_eq!(await_end(&mut child.0, PATIENCE).code(), Some(255));
    let mut more = String::new();
    stdout.read_to_string(&mut more).unwrap();
    assert_eq!((&said, more.as_str()), (b"last words\n", ""));
    // The client, who hears of it, may be gone before the router has noted whose end came first.
    place.await_log("session ended");
}

pub(crate) fn signal(process: &Running, name: &str) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}
