//! People log in to their servers through the router, from outside: who may, who may not, what survives when a part of
//! the platform dies, and what a session can't reach.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use berth_tests::image::SERVER;
use berth_tests::process::{send, wait, within};
use berth_tests::{Lab, Platform, Ran, World, eventually, run};
use rustix::process::Signal;

crate::stories! { people_reach_their_servers_whatever_dies }

/// The machine, as it is called outside.
const MACHINE: &str = "51.0.0.10";
const PORT: &str = "10022";
/// The router's port, from outside.
const DOOR: &str = "51.0.0.10:10022";
/// bob's, and its hash at the least cost that the schema takes.
const PASSWORD: &str = "correct horse";
const BCRYPT: &str = "$2b$10$/6bNTysPXL5XOzRuAs79De5fBU3jhuQAYGnEiRogvmXSwUhhcSVEa";
/// A server boots in it, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(240);

/// A platform with bob's server `shop` (1) and eve's `wiki` (2), and people outside.
struct Scene<'a> {
    lab: &'a Lab,
    platform: Platform,
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab) -> Self {
        let platform = Platform::in_lab(lab, |first| {
            first.write("servers/shop.toml", "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\npids = 512\n");
            first.write("servers/wiki.toml", "id = 2\nowner = \"eve\"\nmemory = \"512 MiB\"\npids = 512\n");
            // People get it wrong here more often than anybody may.
            first.append("platform.toml", "\n[ssh]\nexempt = [\"51.0.0.0/24\", \"52.0.0.0/24\"]\n");
            first.write("users/bob.toml", "");
            first.write("users/eve.toml", "");
        });
        let scene = Self { lab, platform };
        for name in ["bob", "eve"] {
            scene.make_key(name);
        }
        scene.platform.commit("keys", |state| {
            let bob = scene.public("bob");
            state.write("users/bob.toml", &format!("ssh_keys = [{bob}]\npassword_hash = \"{BCRYPT}\"\n"));
            state.write("users/eve.toml", &format!("ssh_keys = [{}]\n", scene.public("eve")));
        });
        scene.platform.apply();
        scene.platform.settled();
        scene
    }

    fn key(&self, name: &str) -> PathBuf {
        self.platform.home().join(name)
    }

    fn make_key(&self, name: &str) {
        let mut keygen = Command::new("ssh-keygen");
        run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.key(name)), PATIENCE).good();
    }

    /// A public key, in quotes.
    fn public(&self, name: &str) -> String {
        format!("\"{}\"", fs::read_to_string(self.key(name).with_extension("pub")).expect("a key").trim())
    }

    /// `ssh` as somebody outside calls it, who has seen the router's host key before.
    fn ssh(&self, who: &str, login: &str) -> Command {
        let mut command = self.lab.internet().namespace().command();
        command.args(["ssh", "-p", PORT, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-F", "none", "-i"]);
        command.arg(self.key(who));
        self.trust(&mut command);
        command.args(["-o", "ServerAliveInterval=10", &format!("{login}@{MACHINE}")]);
        command
    }

    fn trust(&self, command: &mut Command) {
        command.args(["-o", "StrictHostKeyChecking=accept-new", "-o"]);
        command.arg(format!("UserKnownHostsFile={}", self.known_hosts().display()));
    }

    fn known_hosts(&self) -> PathBuf {
        self.platform.home().join("known_hosts")
    }

    fn runs(&self, who: &str, login: &str, command: &str) -> Ran {
        run(self.ssh(who, login).arg(command), PATIENCE)
    }

    /// Waits until somebody gets in: a server may be starting.
    #[track_caller]
    fn gets_in(&self, who: &str, login: &str, server: &str) {
        within(PATIENCE, &format!("{who} gets in to {login}"), || {
            let ran = self.runs(who, login, "hostname");
            ran.is_good().then(|| assert_eq!(ran.stdout.trim(), server))
        });
    }

    #[track_caller]
    fn stays_out(&self, who: &str, login: &str) {
        self.runs(who, login, "true").coded(255).says("Permission denied");
    }

    fn router(&self) -> String {
        format!("{}-users-ssh-router", self.platform.prefix)
    }

    /// The routers' processes, not their supervisor's: one that took over, and those before it that have sessions.
    fn routers(&self) -> Vec<u32> {
        let supervisor = self.supervisor();
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        children.unwrap_or_default().split_whitespace().map(|id| id.parse().expect("an id")).collect()
    }

    /// The first process of the router's container.
    fn supervisor(&self) -> u32 {
        self.platform.docker().container(&self.router()).pid
    }

    fn router_log(&self) -> String {
        self.platform.docker().attempt(&["logs", &self.router()]).words()
    }
}

/// A session that says everything back.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn open(scene: &Scene<'_>, who: &str, login: &str) -> Self {
        let mut command = scene.ssh(who, login);
        let piped = command.arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().expect("ssh");
        let input = child.stdin.take().expect("an input");
        let output = BufReader::new(child.stdout.take().expect("an output"));
        let mut session = Self { child, input, output };
        assert!(session.answers(), "{who} has no session on {login}");
        session
    }

    /// Whether what is said comes back. A session that has ended says nothing.
    fn answers(&mut self) -> bool {
        let mut line = String::new();
        let said = self.input.write_all(b"hello\n").and_then(|()| self.input.flush());
        said.is_ok() && self.output.read_line(&mut line).is_ok() && line == "hello\n"
    }

    #[track_caller]
    fn ends(mut self) {
        let status = wait(&mut self.child, PATIENCE);
        assert!(status.is_some_and(|status| !status.success()), "{status:?}");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn people_reach_their_servers_whatever_dies(world: &World) {
    let scene = Scene::new(world.lab());
    the_right_people_get_in(&scene);
    refused_from_a_session(&scene);
    keys_change_under_a_live_session(&scene);
    a_server_made_anew_shows_the_same_key(&scene);
    parts_die_under_live_sessions(&scene);
    every_key_is_another(&scene);
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
    own.args(["ssh", "-p", PORT, "-o", "BatchMode=yes", "-F", "none", "-i"]).arg(scene.key("bob"));
    scene.trust(&mut own);
    let ran = run(own.args(["server1@127.0.0.1", "hostname"]), PATIENCE).good();
    assert_eq!(ran.stdout.trim(), "shop");
    // Nobody else's, by name, number or the router's own logins.
    for login in ["shop", "server1", "server9", "nobody", "root"] {
        scene.stays_out("eve", login);
    }
}

fn with_password(scene: &Scene<'_>, password: &str, login: &str) -> Ran {
    let mut command = scene.lab.internet().namespace().command();
    command.args(["sshpass", "-p", password, "ssh", "-p", PORT, "-F", "none"]);
    command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
    scene.trust(&mut command);
    run(command.args([&format!("{login}@{MACHINE}"), "true"]), PATIENCE)
}

/// From a session nobody gets into what is the platform's or the machine's, though something listens there.
fn refused_from_a_session(scene: &Scene<'_>) {
    const LISTENING: &str = "7000";
    let settings = scene.platform.state.read("platform.toml");
    let first_of = |network: &str| {
        let subnet = settings.lines().find_map(|line| line.strip_prefix(network)?.strip_prefix(" = \""));
        format!("{}1", subnet.expect(network).split_once("0/24").expect("a /24").0)
    };
    let addresses = [
        MACHINE.to_owned(),
        first_of("external"),
        first_of("control_panel"),
        first_of("control_docker"),
    ];
    let mut listener = scene.lab.host().command();
    let listener = listener.args(["busybox", "nc", "-ll", "-p", LISTENING, "-e", "echo", "reached"]);
    let _listener = Ended(listener.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("busybox"));
    for address in &addresses {
        let to = format!("busybox nc -w 5 {address} {LISTENING} </dev/null");
        eventually("something listens", || scene.lab.host().shell(&to).stdout.contains("reached").then_some(()));
        let mut command = scene.ssh("eve", "wiki");
        // What `-L` and `-D` do for each of their connections.
        let ran = run(command.args(["-W", &format!("{address}:{LISTENING}")]), PATIENCE);
        assert!(!ran.is_good() && !ran.words().contains("reached"), "{address}: {ran}");
    }
}

/// A process that ends with the story.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    eventually("the forged key is refused", || (!scene.runs("eve", "wiki", "true").is_good()).then_some(()));
    eventually("the router's log says so", || scene.router_log().contains("host key").then_some(()));
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
    let (bob, mut eve) = (Session::open(scene, "bob", "shop"), Session::open(scene, "eve", "wiki"));

    // Another router takes over: nobody who comes is refused, and who is there stays.
    takes_over(scene);
    assert!(eve.answers());

    // Revoked by a commit: that session ends, though the router before has it; another's goes on.
    scene.make_key("new");
    let new = scene.public("new");
    platform.commit("revoke", |state| {
        state.write("users/bob.toml", &format!("ssh_keys = [{new}]\n"));
    });
    let pushed = Instant::now();
    bob.ends();
    let (ended, since_push) = (SystemTime::now(), pushed.elapsed());
    // One of the two routers may say so after the other has ended the session already.
    let in_use = fs::metadata(format!("/proc/{}/root/run/berth/loaded", scene.supervisor()));
    let in_use = in_use.and_then(|loaded| loaded.modified()).expect("a file that says what is in use");
    let since = ended.duration_since(in_use).unwrap_or_default();
    eprintln!("a revoked session ended {since_push:?} after the push, {since:?} after the routes were in use");
    assert!(since < Duration::from_secs(10), "{since:?}");
    assert!(eve.answers());
    scene.stays_out("bob", "shop");
    scene.gets_in("new", "shop", "shop");

    // Without the control plane everything goes on, and people get in.
    daemon.kill();
    assert!(eve.answers());
    scene.gets_in("new", "shop", "shop");

    // A server that dies takes its own sessions with it.
    let bob = Session::open(scene, "new", "shop");
    send(platform.server(1).pid, Signal::KILL);
    bob.ends();
    assert!(eve.answers());
    scene.gets_in("new", "shop", "shop");

    // Routers that die take all with them; their supervisor starts another, whom people know.
    for router in scene.routers() {
        send(router, Signal::KILL);
    }
    eve.ends();
    scene.gets_in("eve", "wiki", "wiki");

    // And so when the whole container dies, though nobody is there but the engine.
    let eve = Session::open(scene, "eve", "wiki");
    send(scene.supervisor(), Signal::KILL);
    eve.ends();
    scene.gets_in("eve", "wiki", "wiki");
    // What was put in force is in force still.
    scene.stays_out("bob", "shop");
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
            let mut stream = TcpStream::connect(DOOR).map_err(|error| error.to_string())?;
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
    fs::remove_file(platform.data().join("identity")).expect("an identity");
    platform.apply();
    scene.runs("eve", "wiki", "true").coded(255).says("Host key verification failed");
    fs::remove_file(scene.known_hosts()).expect("known hosts");
    scene.gets_in("eve", "wiki", "wiki");
    scene.gets_in("new", "shop", "shop");
    assert_eq!([platform.server(1), platform.server(2)], before);
}
