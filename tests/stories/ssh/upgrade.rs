//! Another build of Berth comes to a platform that people use: a session, a WebSocket and a push go on, newcomers get the new
//! build, and a build that doesn't work changes nothing.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use berth_tests::lab::PUBLIC;
use berth_tests::process::{processes, within};
use berth_tests::web::WebSocket;
use berth_tests::{Lab, Ran, eventually, run};

use super::door::Person;
use super::scene::{PATIENCE, Scene, Session};

/// A domain that leads to server 1.
const APP: &str = "app.stories.example.org";
/// What other builds end with, so that they are told apart.
const MARK: &[u8] = b"another build";

/// An app that says back what comes over a WebSocket.
const ECHO: &str = r#"#!/usr/bin/perl
use IO::Socket::INET; use Digest::SHA qw(sha1_base64); $SIG{CHLD} = "IGNORE";
my $l = IO::Socket::INET->new(LocalPort => 8080, Listen => 20, ReuseAddr => 1) or die;
while (1) { my $c = $l->accept or next; next if fork; $c->autoflush(1);
my $head = ""; while (<$c>) { last if /^\r?$/; $head .= $_ }
if ($head =~ /^Sec-WebSocket-Key: (\S+)/mi) {
my $accept = sha1_base64($1 . "258EAFA5-E914-47DA-95CA-C5AB0DC85B11") . "=";
print $c "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $accept\r\n\r\n";
while (read $c, my $byte, 1) { print $c $byte } exit }
print $c "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nhere"; exit }
"#;

/// Keeps back what a client's git says until a file is there.
const HELD: &str = "#!/bin/sh\n{ while [ ! -e \"$GO\" ]; do sleep 0.1; done; cat; } | exec ssh \"$@\"\n";

/// A build that can't be run at all, and one that runs and never listens.
const BROKEN: [(&str, &str, &str); 2] = [
    ("#!/bin/sh\necho no good; exit 3\n", "the new berth-ssh-router doesn't run in its container", "no good"),
    (
        "#!/bin/sh\n[ \"$1\" = --version ] || exit 3\n",
        "the new berth-ssh-router did not take over",
        "it ended before it listened (exit code 3). The last one is in force again",
    ),
];

pub(super) fn nothing_ends_by_an_upgrade(lab: &Lab) {
    let scene = Scene::new(lab);
    let platform = &scene.platform;
    platform.commit("app", |state| {
        state.write(&format!("domains/{APP}.toml"), "server = \"shop\"\nport = 8080\ntls = \"off\"\n");
    });
    up(&scene).good();
    let _ends = Ends(&scene);
    serve_echo(&scene);
    scene.gets_in("bob", "shop", "shop");
    scene.gets_in("eve", "wiki", "wiki");
    let ann = Person::new(&scene, "ann");
    within(PATIENCE, "the door opens", || ann.git(&["ls-remote", &Person::url()]).is_good().then_some(()));
    let state = ann.clones();

    let mut eve = Session::open(&scene, "eve", "wiki");
    let mut socket = web_socket(&scene);
    let push = Held::push(&scene, &ann, || {
        state.append("users/eve.toml", "# one\n");
    });
    let containers = platform.containers();
    let [before] = scene.routers()[..] else { panic!("{:?}", scene.routers()) };

    // Other builds of the router and of the gate: they take over, and no container is touched.
    for program in ["berth-ssh-router", "berth-gate"] {
        another_build(&scene, program);
    }
    let plan =
        platform.berth(&["plan"]).coded(2).says("this host has another build of the router; sessions go on");
    let plan = plan.says("this host has another build of the gate; what visitors have open goes on");
    assert!(!plan.stdout.contains("is made anew"), "{plan}");
    platform.apply();
    platform.settled();
    assert_eq!(platform.containers(), containers);
    assert!(eve.answers() && socket.lives(), "what was open goes on");
    // The router before has the session and the push; the next one is the new build, and has whoever comes.
    let routers = scene.routers();
    let [next] = routers.iter().filter(|pid| **pid != before).collect::<Vec<_>>()[..] else {
        panic!("{routers:?}")
    };
    assert!(routers.contains(&before), "{before}: {routers:?}");
    assert_eq!((is_marked(before), is_marked(*next)), (false, true));
    let mut bob = Session::open(&scene, "bob", "shop");
    assert_eq!(
        (told(&scene, before), told(&scene, *next)),
        (json(&[("ann", 1), ("eve", 1)]), json(&[("bob", 1)]))
    );
    assert!(is_marked(gate(&scene)), "the gate is the new build");
    push.goes_through();
    let mut other_socket = web_socket(&scene);

    // A reconciler of another build, as `make up` brings it: a push that is under way goes on in the door before.
    let push = Held::push(&scene, &ann, || {
        state.append("users/eve.toml", "# two\n");
    });
    another_build(&scene, "berth");
    up(&scene).good().says("it is restarted");
    push.goes_through();
    assert!(eve.answers() && bob.answers() && socket.lives() && other_socket.lives());
    assert_eq!(platform.containers(), containers);
    // The same again changes nothing.
    up(&scene).good().says("running already");
    assert_eq!(scene.routers().len(), 2);

    a_build_that_does_not_work_changes_nothing(&scene);
    assert!(eve.answers() && bob.answers() && socket.lives() && other_socket.lives());
    assert_eq!(platform.containers(), containers);
    platform.berth(&["down"]).good();

    // A change that can't spare them says whose sessions end, before it ends them.
    platform.state.git(&["pull", "--quiet", "--ff-only"]).good();
    platform.commit("exempt", |state| {
        let settings = state.read("platform.toml").replace("52.0.0.0/24", "53.0.0.0/24");
        state.write("platform.toml", &settings);
    });
    platform.berth(&["plan"]).coded(2).says("2 SSH sessions end (bob, eve)");
    assert!(eve.answers() && bob.answers());
    platform.apply();
    eve.ends("");
    bob.ends("");
    assert!(socket.lives(), "nothing else is touched");
    scene.gets_in("eve", "wiki", "wiki");
}

fn a_build_that_does_not_work_changes_nothing(scene: &Scene<'_>) {
    let platform = &scene.platform;
    let good = fs::read(installed(scene, "berth-ssh-router")).expect("the build");
    for (program, what, why) in BROKEN {
        put(scene, "berth-ssh-router", program.as_bytes());
        platform.berth(&["apply"]).coded(1).says(what).says(why);
        scene.gets_in("bob", "shop", "shop");
        let routers = scene.routers();
        assert!(routers.iter().any(|pid| is_marked(*pid)), "{routers:?}");
    }
    // What lies there is the confirmed one.
    put(scene, "berth-ssh-router", &good);
    platform.settled();
}

/// Brings the platform up in the background, as `make up` does.
fn up(scene: &Scene<'_>) -> Ran {
    let mut command = scene.platform.berth_command(&["up", "--detach"]);
    run(command.env_remove("BERTH_GIT_SOCKET_DIR").env("BERTH_WAIT", "5"), PATIENCE)
}

/// Takes the platform's processes down, whatever becomes of the story.
struct Ends<'a, 'l>(&'a Scene<'l>);

impl Drop for Ends<'_, '_> {
    fn drop(&mut self) {
        self.0.platform.berth(&["down"]);
    }
}

/// A program where this platform has it installed.
fn installed(scene: &Scene<'_>, program: &str) -> PathBuf {
    scene.platform.home().join("bin").join(program)
}

/// Replaces a program as an upgrade does.
fn put(scene: &Scene<'_>, program: &str, content: &[u8]) {
    let place = installed(scene, program);
    let next = place.with_extension("new");
    let mut file = fs::File::create(&next).expect("a file");
    file.write_all(content).expect("write");
    drop(file);
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("a program");
    // By another process: a file that this one has open for writing, if only in a child, can't be run.
    run(Command::new("mv").arg(&next).arg(&place), PATIENCE).good();
}

/// Replaces a program by one that differs in bytes after its end.
fn another_build(scene: &Scene<'_>, program: &str) {
    let content = fs::read(installed(scene, program)).expect("the build");
    put(scene, program, &[&content, MARK].concat());
}

fn is_marked(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/exe")).expect("its program").ends_with(MARK)
}

/// The gate that serves, as its supervisor reports it.
fn gate(scene: &Scene<'_>) -> u32 {
    let caddy = scene.platform.docker().container(&format!("{}-users-caddy", scene.platform.prefix)).pid;
    let report = fs::read_to_string(format!("/proc/{caddy}/root/run/berth/gate.report")).expect("a report");
    let inner = report.trim().rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a process");
    outer(caddy, inner)
}

/// The process that is called so in another's container, as this machine calls it.
fn outer(container: u32, inner: u32) -> u32 {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let is_it = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let last =
            status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().next_back());
        last == Some(inner.to_string().as_str()) && namespace(*pid) == namespace(container)
    };
    processes().into_iter().find(is_it).expect("a process")
}

/// What a router tells of its sessions.
fn told(scene: &Scene<'_>, router: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{router}/status")).expect("its status");
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().next_back());
    let supervisor = scene.supervisor();
    let file = format!("/proc/{supervisor}/root/run/berth/sessions/{}", inner.expect("its number"));
    // It comes a moment after the session.
    thread::sleep(std::time::Duration::from_millis(500));
    fs::read_to_string(file).expect("what it tells")
}

fn json(people: &[(&str, u32)]) -> String {
    let people: Vec<String> = people.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
    format!("{{{}}}", people.join(","))
}

/// Starts the app, and waits until it answers through the web server.
fn serve_echo(scene: &Scene<'_>) {
    let (docker, name) = (scene.platform.docker(), scene.platform.name(1));
    scene.platform.running(1);
    let file = scene.platform.home().join("echo");
    fs::write(&file, ECHO).expect("write");
    let file = file.to_str().expect("a path");
    within(PATIENCE, "the app is in its server", || {
        docker.attempt(&["cp", file, &format!("{name}:/srv/echo")]).is_good().then_some(())
    });
    docker.run(&["exec", "-d", &name, "perl", "/srv/echo"]);
    within(PATIENCE, "the app answers", || {
        let ran = scene.lab.visit(&["-H", &format!("Host: {APP}"), &format!("http://{PUBLIC}/")]);
        ran.stdout.contains("here").then_some(())
    });
}

fn web_socket(scene: &Scene<'_>) -> WebSocket<TcpStream, TcpStream> {
    let connect = || TcpStream::connect((PUBLIC, 80)).expect("connect");
    let stream = scene.lab.internet().namespace().enter(connect);
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let mut socket = WebSocket::open(stream.try_clone().expect("a stream"), stream, APP);
    assert!(socket.lives());
    socket
}

/// A push whose git has been greeted, and that says nothing more until it may.
struct Held {
    child: std::process::Child,
    go: PathBuf,
}

impl Held {
    #[track_caller]
    fn push(scene: &Scene<'_>, person: &Person<'_>, change: impl FnOnce()) -> Self {
        let home = scene.platform.home();
        let (wrapper, go) = (home.join("held-ssh"), home.join("go"));
        let _ = fs::remove_file(&go);
        fs::write(&wrapper, HELD).expect("write");
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("a program");
        person.git_there(&["pull", "--quiet", "--ff-only"]).good();
        change();
        person.git_there(&["commit", "--quiet", "--all", "--message", "change"]).good();
        let mut command = person.command(&wrapper);
        command.args(["-C", person.clone_path(), "push", "origin", "HEAD:main"]);
        let log = fs::File::create(home.join("push.log")).expect("a log");
        command.env("GO", &go).env("GIT_SSH_VARIANT", "ssh");
        command.stdout(log.try_clone().expect("the log")).stderr(log);
        let child = command.spawn().expect("git");
        let repo = scene.platform.repo();
        eventually("git waits for the push", || receives(&repo).then_some(()));
        Self { child, go }
    }

    /// Lets it go on, and waits for its end, which must be a good one.
    #[track_caller]
    fn goes_through(mut self) {
        fs::write(&self.go, "").expect("write");
        let status = berth_tests::process::wait(&mut self.child, PATIENCE);
        let said = fs::read_to_string(self.go.with_file_name("push.log")).unwrap_or_default();
        assert!(status.is_some_and(|status| status.success()), "{status:?}: {said}");
    }
}

/// Returns whether a process takes a push to this repository in.
fn receives(repo: &Path) -> bool {
    let repo = repo.to_str().expect("a path");
    processes().into_iter().any(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        words.contains("receive-pack") && words.contains(repo)
    })
}
