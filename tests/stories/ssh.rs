//! People log in to their servers through the router, from outside: who may, who may not, what survives when a part of
//! the platform dies, what a session can't reach, and the state repo behind the login `git`.

mod behind_caddy;
mod door;
mod guide;
mod inner_network;
mod panel;
mod reach;
mod scene;
mod upgrade;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use berth_tests::image::SERVER;
use berth_tests::lab::{PUBLIC, WEBSITE};
use berth_tests::process::{send, within};
use berth_tests::{Ran, World, eventually, run};
use rustix::process::Signal;
use serde_json::{Value, json};

use scene::{BCRYPT, BOBS, CLOSED, MACHINE, PASSWORD, PATIENCE, PORT, Scene, Session};

crate::stories! { people_reach_their_servers_whatever_dies, an_upgrade_ends_nothing }

fn people_reach_their_servers_whatever_dies(world: &World) {
    let scene = Scene::new(world.lab());
    the_right_people_get_in(&scene);
    panel::people_work_in_their_servers_by_the_panel(&scene);
    reach::refused_from_a_session(&scene);
    inner_network::cuts_nobody_off(&scene);
    keys_change_under_a_live_session(&scene);
    a_server_made_anew_shows_the_same_key(&scene);
    parts_die_under_live_sessions(&scene);
    every_key_is_another(&scene);
    door::the_state_is_cloned_and_pushed(&scene);
    guide::a_member_follows_the_guide(&scene);
    behind_caddy::the_visitor_and_the_scheme_arrive(&scene);
}

fn an_upgrade_ends_nothing(world: &World) {
    upgrade::nothing_ends_by_an_upgrade(world.lab());
}

fn the_right_people_get_in(scene: &Scene<'_>) {
    scene.gets_in("bob", "server1", "shop");
    scene.gets_in("bob", "shop", "shop");
    scene.gets_in("eve", "wiki", "wiki");
    scene.runs("bob", "shop", "exit 7").coded(7);
    with_password(scene, PASSWORD, "shop").good();
    assert!(!with_password(scene, "wrong", "shop").is_good());
    // From the machine itself, too.
    let mut own = scene.lab.host().command();
    own.arg("ssh").args(scene.options("bob")).args([
        "-p",
        &PORT.to_string(),
        "server1@127.0.0.1",
        "hostname",
    ]);
    let ran = run(&mut own, PATIENCE).good();
    assert_eq!(ran.stdout.trim(), "shop");
    // Nobody else's, by name, number or the router's own logins.
    for login in ["shop", "server1", "server9", "nobody", "root"] {
        scene.stays_out("eve", login);
    }
    // The log names who came, and not whoever translated the address: else one who fails would lock out all.
    let peer = format!(" peer={WEBSITE}:");
    scene.logged(&["session ended", &peer, " user=bob server=shop ", "\"key\"", " ending=Left"], 3);
    scene.logged(&["session ended", &peer, " user=bob server=shop ", "\"password\""], 1);
    scene.logged(&["nobody logged in", &peer], 6);
}

fn with_password(scene: &Scene<'_>, password: &str, login: &str) -> Ran {
    let mut command = scene.lab.internet().namespace().command();
    command.args(["sshpass", "-p", password, "ssh", "-p", &PORT.to_string(), "-F", "none"]);
    command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
    command.args(scene.known().iter().flat_map(|option| ["-o", option]));
    run(command.args([&format!("{login}@{MACHINE}"), "true"]), PATIENCE)
}

/// A server's sshd goes by the keys that lie in its volume, whoever put them there; and the next pass mends them. The
/// server isn't restarted, and who is in it stays.
fn keys_change_under_a_live_session(scene: &Scene<'_>) {
    let platform = &scene.platform;
    let mut eve = Session::open(scene, "eve", "wiki");
    let before = platform.server(2);

    let volume = format!("{}-ssh", platform.name(2));
    let folder = platform.docker().run(&["volume", "inspect", "--format", "{{.Mountpoint}}", &volume]);
    let folder = Path::new(folder.trim());
    scene.make_key("forged");
    replace(&folder.join("host_key"), &fs::read_to_string(scene.key("forged")).expect("a key"));
    replace(&folder.join("identity"), "forged\n");
    // One that shows another key is somebody else.
    // Tried again until the log says why: the first refusal may be an sshd that is just reading its keys anew.
    eventually("the forged key is refused, and the router's log says so", || {
        let refused = !scene.runs("eve", "wiki", "true").is_good();
        (refused && scene.router_log().contains("host key")).then_some(())
    });
    assert!(eve.answers());

    platform.apply();
    scene.gets_in("eve", "wiki", "wiki");
    assert!(eve.answers());
    assert_eq!(platform.server(2), before);
}

/// Replaces a file of a volume as the reconciler does: by another, with the owner of the folder.
fn replace(file: &Path, content: &str) {
    let next = file.with_extension("another");
    let mut written =
        fs::File::options().write(true).create_new(true).mode(0o600).open(&next).expect("a file");
    written.write_all(content.as_bytes()).expect("write");
    let folder = fs::metadata(file.parent().expect("a folder")).expect("a folder");
    chown(&next, Some(folder.uid()), Some(folder.gid())).expect("give it away");
    fs::rename(&next, file).expect("replace it");
}

fn a_server_made_anew_shows_the_same_key(scene: &Scene<'_>) {
    let platform = &scene.platform;
    platform.docker().run(&["tag", SERVER, "berth-server:again"]);
    let before = platform.server(1).id;
    platform.commit("image", |state| {
        state.append("servers/shop.toml", "image = \"berth-server:again\"\n");
    });
    platform.apply();
    assert_ne!(platform.server(1).id, before);
    scene.gets_in("bob", "shop", "shop");
}

fn parts_die_under_live_sessions(scene: &Scene<'_>) {
    let platform = &scene.platform;
    let daemon = platform.daemon();
    another_router_asks(scene);
    let mut eve = Session::open(scene, "eve", "wiki");
    let bobs = BOBS.map(|key| Session::open(scene, key, "shop"));

    // Another router takes over: nobody who comes is refused, and who is there stays.
    takes_over(scene);
    assert!(eve.answers());

    revoked_by_a_commit(scene, bobs);
    assert!(eve.answers());
    // The router that takes newcomers may have heard of it later than the one that had the session.
    within(PATIENCE, "a revoked key opens nothing", || {
        let ran = scene.runs("bobs-tablet", "shop", "true");
        (ran.code == Some(255) && ran.stderr.contains("Permission denied")).then_some(())
    });
    scene.gets_in("new", "shop", "shop");

    // Without the control plane everything goes on, and people get in.
    daemon.kill();
    assert!(eve.answers());
    scene.gets_in("new", "shop", "shop");

    // A server that dies takes its own sessions with it.
    let (bob, idle) = (Session::open(scene, "new", "shop"), Session::idle(scene, "new", "shop"));
    send(platform.server(1).pid, Signal::KILL);
    // Where its program was all that a client waited for, it leaves before it hears why.
    bob.ends("");
    idle.ends("the server ended the connection");
    scene.logged(&["session ended", " user=bob ", " ending=Server"], 1);
    assert!(eve.answers());
    scene.gets_in("new", "shop", "shop");

    // Routers that die take all with them; their supervisor starts another, whom people know.
    for router in scene.routers() {
        send(router, Signal::KILL);
    }
    eve.ends(CLOSED);
    scene.gets_in("eve", "wiki", "wiki");
    scene.logged(&["router died", "signal"], 1);

    // And so when the whole container dies, though nobody is there but the engine.
    let eve = Session::open(scene, "eve", "wiki");
    send(scene.supervisor(), Signal::KILL);
    eve.ends(CLOSED);
    scene.gets_in("eve", "wiki", "wiki");
    // What was put in force is in force still.
    scene.stays_out("bob", "shop");
}

/// Revokes one key of bob's after the other: its session ends at once, though the router before has it, and those of his
/// other keys go on.
fn revoked_by_a_commit(scene: &Scene<'_>, bobs: [Session; 3]) {
    scene.make_key("new");
    let routes = format!("/proc/{}/root/run/berth/routes.toml", scene.supervisor());
    let mut bobs = bobs.into_iter();
    for (number, _) in BOBS.iter().enumerate() {
        let revoked = bobs.next().expect("a session");
        let left = [&BOBS[number + 1..], &["new"]].concat();
        scene.platform.commit("revoke", |state| {
            state.write("users/bob.toml", &scene.ssh_keys(&left));
        });
        let pushed = Instant::now();
        revoked.ends("this login is no longer allowed");
        let (ended, since_push) = (SystemTime::now(), pushed.elapsed());
        // The file that routers follow came into its place then.
        let placed = fs::metadata(&routes).expect("the routes in force");
        let second = Duration::from_secs(placed.ctime().cast_unsigned());
        let placed = UNIX_EPOCH + second + Duration::from_nanos(placed.ctime_nsec().cast_unsigned());
        let since = ended.duration_since(placed).expect("what ends a session comes before its end");
        eprintln!(
            "a revoked session ended {since_push:?} after the push, {since:?} after the routes were in force"
        );
        scene.logged(&["session ended", " user=bob ", " ending=Revoked"], number + 1);
        assert!(bobs.as_mut_slice().iter_mut().all(Session::answers));
    }
}

/// A router that isn't ours asks the reconciler about one login, and gets in with what it hears.
fn another_router_asks(scene: &Scene<'_>) {
    let platform = &scene.platform;
    let key = fs::read_to_string(platform.data().join("ssh-api-key")).expect("the key to ask with");
    let ask = |login: &str, key: &str| {
        let question = json!({ "username": login, "api_key": key }).to_string();
        let mut curl = scene.lab.host().command();
        curl.args([
            "curl",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "--unix-socket",
        ]);
        curl.arg(platform.data().join("control.sock"));
        curl.args(["http://berth/api/sshrouter", "--data", &question, "--write-out", " %{http_code}"]);
        let ran = run(&mut curl, PATIENCE).good();
        let (answer, status) = ran.stdout.rsplit_once(' ').expect("an answer and a status");
        let answer: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {ran}"));
        (status.to_owned(), answer)
    };
    for (login, key, refused) in [("server1", "wrong", "401"), ("server9", key.trim(), "404")] {
        let (status, answer) = ask(login, key);
        assert_eq!(status, refused, "{answer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
    let (status, answer) = ask("server1", key.trim());
    assert_eq!((status.as_str(), &answer["password_hash"]), ("200", &json!(BCRYPT)), "{answer}");
    let names: Vec<_> = answer["users"].as_array().expect("users").iter().map(|user| &user["name"]).collect();
    assert_eq!(names, ["ann", "bob"], "{answer}");
    assert_eq!(answer["users"][1]["keys"].as_array().map(Vec::len), Some(BOBS.len()), "{answer}");

    let text = |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("{field}: {answer}")).to_owned();
    let [identity, known] = ["told-key", "told-hosts"].map(|name| platform.home().join(name));
    let mut file =
        fs::File::options().write(true).create_new(true).mode(0o600).open(&identity).expect("a file");
    file.write_all(text("upstream_key").as_bytes()).expect("a key");
    fs::write(&known, format!("{} {}\n", text("upstream_host"), text("upstream_host_key"))).expect("a file");
    // Where the router is, since servers answer nobody else.
    let mut ssh = Command::new("nsenter");
    ssh.arg(format!("--net=/proc/{}/ns/net", scene.supervisor()))
        .args(["ssh", "-F", "none", "-i"])
        .arg(&identity);
    ssh.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o"]);
    ssh.arg(format!("UserKnownHostsFile={}", known.display())).args(["-p", &text("upstream_port")]);
    ssh.args([&format!("{}@{}", text("upstream_user"), text("upstream_host")), "hostname"]);
    assert_eq!(run(&mut ssh, PATIENCE).good().stdout.trim(), "shop");
}

fn takes_over(scene: &Scene<'_>) {
    let container = scene.platform.docker().container(&scene.router());
    let [before] = scene.routers()[..] else { panic!("{:?}", scene.routers()) };
    let takeovers = || scene.router_log().matches("router took over").count();
    let first = takeovers();
    let (over, greeted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let visitors = || -> Result<(), String> {
        let start = Instant::now();
        while !over.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
            let door = (PUBLIC, PORT).into();
            let mut stream =
                TcpStream::connect_timeout(&door, PATIENCE).map_err(|error| error.to_string())?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
            let mut name = [0; 4];
            stream.read_exact(&mut name).map_err(|error| format!("not greeted: {error}"))?;
            if &name != b"SSH-" {
                return Err(format!("greeted with {name:?}"));
            }
            greeted.fetch_add(1, Ordering::Relaxed);
            // Faster, they could look like a flood of half-open ones to a busy router.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let visitors = scope.spawn(|| scene.lab.internet().namespace().enter(visitors));
        let more = |what: &str| {
            let so_far = greeted.load(Ordering::Relaxed);
            within(PATIENCE, what, || {
                (visitors.is_finished() || greeted.load(Ordering::Relaxed) > so_far + 5).then_some(())
            });
        };
        more("visitors of the router before");
        // Not `docker kill`: the engine would take it for a wish to stop, and start it no more when it dies.
        let hang_up = ["exec", &scene.router(), "sh", "-c", "kill -HUP 1"];
        scene.platform.docker().run(&hang_up);
        within(PATIENCE, "another router took over", || (takeovers() > first).then_some(()));
        more("visitors of the next router");
        over.store(true, Ordering::Relaxed);
        assert_eq!(visitors.join().expect("visitors"), Ok(()));
    });
    let after = scene.routers();
    assert!(after.len() == 2 && after.contains(&before), "{before}: {after:?}");
    assert_eq!(scene.platform.docker().container(&scene.router()), container);
}

/// Without the file that all keys follow from, there are others: servers take them up as they run.
fn every_key_is_another(scene: &Scene<'_>) {
    let platform = &scene.platform;
    let before = [platform.server(1), platform.server(2)];
    let eve = Session::open(scene, "eve", "wiki");
    fs::remove_file(platform.data().join("identity")).expect("an identity");
    platform.apply();
    eve.ends(CLOSED);
    scene.runs("eve", "wiki", "true").coded(255).says("Host key verification failed");
    fs::remove_file(scene.known_hosts()).expect("known hosts");
    scene.gets_in("eve", "wiki", "wiki");
    scene.gets_in("new", "shop", "shop");
    assert_eq!([platform.server(1), platform.server(2)], before);
}
