//! People log in to their servers through the router, from outside: who may, who may not, what survives when a part of
//! the platform dies, and what a session can't reach.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use berth_tests::image::SERVER;
use berth_tests::process::{send, wait, within};
use berth_tests::{Lab, Platform, Ran, World, eventually, run};
use rustix::process::Signal;

crate::stories! { people_reach_their_servers, parts_die_under_live_sessions }

/// The machine, as it is called outside.
const MACHINE: &str = "51.0.0.10";
const PORT: &str = "10022";
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
            first.append("platform.toml", "\n[ssh]\nexempt = [\"51.0.0.0/24\"]\n");
            first.write("users/bob.toml", "");
            first.write("users/eve.toml", "");
        });
        let scene = Self { lab, platform };
        for name in ["bob", "eve"] {
            run(
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(scene.key(name)),
                PATIENCE,
            )
            .good();
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
        let known = self.platform.home().join("known_hosts");
        command.args(["-o", "StrictHostKeyChecking=accept-new", "-o"]);
        command.arg(format!("UserKnownHostsFile={}", known.display()));
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

    /// The router's process, not its supervisor's.
    fn router_process(&self) -> u32 {
        let supervisor = self.platform.docker().container(&self.router()).pid;
        let children = format!("/proc/{supervisor}/task/{supervisor}/children");
        eventually("there is a router", || {
            fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()
        })
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

fn people_reach_their_servers(world: &World) {
    let scene = Scene::new(world.lab());
    let platform = &scene.platform;
    scene.gets_in("bob", "server1", "shop");
    scene.gets_in("bob", "shop", "shop");
    scene.gets_in("eve", "wiki", "wiki");
    scene.runs("bob", "shop", "exit 7").coded(7);
    with_password(&scene, PASSWORD, "shop").good();
    assert!(!with_password(&scene, "wrong", "shop").is_good());
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

    // From a session nobody gets into what is the platform's or the machine's, though something listens there.
    refused_from_a_session(&scene);

    // A server that is made anew shows the same key; and so does the router, whom people know.
    platform.docker().run(&["tag", SERVER, "berth-server:again"]);
    let before = platform.server(1).id;
    platform.commit("image", |state| {
        state.append("servers/shop.toml", "image = \"berth-server:again\"\n");
    });
    platform.apply();
    assert_ne!(platform.server(1).id, before);
    scene.gets_in("bob", "shop", "shop");

    // One that shows another key is somebody else.
    let forge = "ssh-keygen -q -t ed25519 -N '' -f /etc/forged && \
                 sed -i 's|^HostKey .*|HostKey /etc/forged|' /etc/ssh/sshd_config.d/berth.conf && \
                 systemctl restart ssh";
    platform.docker().shell(&platform.name(2), forge).good();
    eventually("the forged key is refused", || (!scene.runs("eve", "wiki", "true").is_good()).then_some(()));
    eventually("the router's log says so", || {
        let log = platform.docker().attempt(&["logs", &scene.router()]).words();
        log.contains("host key").then_some(())
    });
}

fn with_password(scene: &Scene<'_>, password: &str, login: &str) -> Ran {
    let mut command = scene.lab.internet().namespace().command();
    command.args(["sshpass", "-p", password, "ssh", "-p", PORT, "-F", "none"]);
    command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
    scene.trust(&mut command);
    run(command.args([&format!("{login}@{MACHINE}"), "true"]), PATIENCE)
}

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

fn parts_die_under_live_sessions(world: &World) {
    let scene = Scene::new(world.lab());
    let platform = &scene.platform;
    let daemon = platform.daemon();
    scene.gets_in("bob", "shop", "shop");
    scene.gets_in("eve", "wiki", "wiki");
    let (bob, mut eve) = (Session::open(&scene, "bob", "shop"), Session::open(&scene, "eve", "wiki"));

    // Revoked by a commit: that session ends, another's goes on.
    run(
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(scene.key("new")),
        PATIENCE,
    )
    .good();
    let new = scene.public("new");
    platform.commit("revoke", |state| {
        state.write("users/bob.toml", &format!("ssh_keys = [{new}]\n"));
    });
    bob.ends();
    assert!(eve.answers());
    scene.stays_out("bob", "shop");
    scene.gets_in("new", "shop", "shop");

    // Without the control plane everything goes on, and people get in.
    daemon.kill();
    assert!(eve.answers());
    scene.gets_in("new", "shop", "shop");

    // A server that dies takes its own sessions with it.
    let bob = Session::open(&scene, "new", "shop");
    send(platform.server(1).pid, Signal::KILL);
    bob.ends();
    assert!(eve.answers());
    scene.gets_in("new", "shop", "shop");

    // A router that dies takes all with it; its supervisor starts another, whom people know.
    send(scene.router_process(), Signal::KILL);
    eve.ends();
    scene.gets_in("eve", "wiki", "wiki");

    // And so when the whole container dies, though nobody is there but the engine.
    let eve = Session::open(&scene, "eve", "wiki");
    send(platform.docker().container(&scene.router()).pid, Signal::KILL);
    eve.ends();
    scene.gets_in("eve", "wiki", "wiki");
    // What was put in force is in force still.
    scene.stays_out("bob", "shop");
}
