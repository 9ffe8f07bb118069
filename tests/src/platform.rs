//! One platform: a state repo, a prefix and subnets of its own on an engine, and the `berth` that serves it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::docker::{Container, Docker};
use crate::engine::Engine;
use crate::folder::{Folder, git};
use crate::ground::{self, scratch};
use crate::image;
use crate::lab::{self, Lab};
use crate::namespace::Namespace;
use crate::panel_user::PanelUser;
use crate::process::{
    MARK, PATIENCE, Ran, build_folder, built, children_of, ending, eventually, is_alive, run, send, wait,
    within,
};
use crate::proxy::Proxy;

/// Platforms of this run, so that each has subnets of its own.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Time in which a server with Docker in it comes up. It takes some seconds, and longer on a busy machine.
const BOOT: Duration = Duration::from_secs(120);

/// A platform instance.
#[derive(Debug)]
pub struct Platform {
    docker: Docker,
    /// Address at which `berth` finds the engine: its socket, or a proxy's.
    host: String,
    /// The network namespace of its `berth`, where that isn't this machine's.
    namespace: Option<Namespace>,
    /// The beginning of the names of all that it makes.
    pub prefix: String,
    /// A checkout of its state repo.
    pub state: Folder,
    home: TempDir,
    /// The panel's user, where its `berth` is to see one.
    user: Option<PanelUser>,
    /// Held to the end: a platform in the lab has the machine's ports 80 and 443 for itself.
    turn: Option<MutexGuard<'static, ()>>,
}

/// The lab's ports.
static LAB: Mutex<()> = Mutex::new(());

impl Platform {
    /// A platform whose first commit holds what `begin` writes, beside settings and the user `ann`. Nothing is applied
    /// yet.
    pub fn new(engine: &Engine, begin: impl FnOnce(&Folder)) -> Self {
        let home = scratch();
        // The folder's random end is unique on this machine, in lower case it still is among a few dozen.
        let end = home.path().to_string_lossy().rsplit('-').next().unwrap_or_default().to_lowercase();
        let prefix = format!("st-{end}");
        let first = Folder::at(&home.path().join("first"));
        write_settings(&first, &prefix);
        begin(&first);
        Self::from_folder(engine, home, prefix, &first)
    }

    /// A platform made of `example-state`, with a prefix and subnets of its own.
    pub fn of_example(engine: &Engine) -> Self {
        let home = scratch();
        let end = home.path().to_string_lossy().rsplit('-').next().unwrap_or_default().to_lowercase();
        let prefix = format!("st-{end}");
        let first = Folder::at(&home.path().join("first"));
        let example = crate::process::source_tree().join("example-state/.");
        run(Command::new("cp").arg("-r").arg(example).arg(first.path()), PATIENCE).good();
        let settings =
            first.read("platform.toml").replace("prefix = \"hosting\"", &format!("prefix = \"{prefix}\""));
        let settings = (1..)
            .zip(subnets())
            .fold(settings, |text, (part, subnet)| text.replace(&format!("172.19.{part}.0/24"), &subnet));
        // Their images, and ports of this machine, are for the stories of the network.
        let settings = ["firewall", "cache", "web", "router"].iter().fold(settings, |text, service| {
            text.replace(&format!("\n{service} = true"), &format!("\n{service} = false"))
        });
        first.write("platform.toml", &settings);
        Self::from_folder(engine, home, prefix, &first)
    }

    /// A platform in the closed world, of the real images. `begin` may change the settings.
    pub fn in_lab(lab: &Lab, begin: impl FnOnce(&Folder)) -> Self {
        let turn = LAB.lock();
        let mut platform = Self::new(lab.engine(), |first| {
            let settings = first.read("platform.toml");
            let settings =
                settings.replace(image::TINY, image::SERVER).replace(image::HOLDER, image::SERVER_HOLDER);
            let settings = ["firewall", "cache", "web", "router"].iter().fold(settings, |text, service| {
                text.replace(&format!("\n{service} = false"), &format!("\n{service} = true"))
            });
            let cache = format!("\n[cache]\nupstream = \"http://{}:5000\"\n", lab::REGISTRY);
            first.write("platform.toml", &format!("{settings}{cache}"));
            begin(first);
        });
        platform.turn = Some(turn);
        platform
    }

    fn from_folder(engine: &Engine, home: TempDir, prefix: String, first: &Folder) -> Self {
        let docker = engine.docker().clone();
        let host = docker.host();
        let namespace = engine.namespace().cloned();
        let checkout = home.path().join("checkout");
        let platform = Self {
            docker,
            host,
            namespace,
            prefix,
            state: Folder::at(&checkout),
            home,
            user: None,
            turn: None,
        };
        let repo = platform.repo();
        platform.berth(&["init", &repo.to_string_lossy(), "--from", &first.path().to_string_lossy()]).good();
        run(git().args(["clone", "--quiet"]).arg(&repo).arg(&checkout), PATIENCE).good();
        platform
    }

    /// The bare state repo.
    pub fn repo(&self) -> PathBuf {
        self.home.path().join("state.git")
    }

    /// Berth's own folder.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Folder in which the door tells the gate who may come in, as the web server's container sees it.
    pub fn gate(&self) -> PathBuf {
        berth_plan::system::gate(&self.prefix.parse().expect("a prefix")).into()
    }

    /// The folder of the git door's socket.
    pub fn door(&self) -> PathBuf {
        self.home.path().join("door")
    }

    /// The folder of the panel's sockets.
    pub fn panel(&self) -> PathBuf {
        self.home.path().join("panel")
    }

    /// A folder for whatever the story needs, removed with the platform.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Has `berth` see the panel's user from now on, and returns its number. Without one, nothing serves the panel.
    #[track_caller]
    pub fn make_panel_user(&mut self) -> u32 {
        ground::make_open(self.home());
        let user = PanelUser::make(self.home());
        self.user.insert(user).id()
    }

    /// Leads `berth` to the engine through `proxy` from now on.
    pub fn through(&mut self, proxy: &Proxy) {
        self.host = proxy.host();
    }

    /// Leads `berth` to the engine by another address from now on.
    pub fn reach_at(&mut self, address: &str) {
        self.host = address.to_owned();
    }

    /// Changes the state and pushes it; returns the revision.
    #[track_caller]
    pub fn commit(&self, message: &str, change: impl FnOnce(&Folder)) -> String {
        change(&self.state);
        self.state.commit(message)
    }

    /// A `berth` command for this platform, to be run.
    pub fn berth_command(&self, arguments: &[&str]) -> Command {
        let (sees, berth) = match &self.user {
            None => (Vec::new(), built("berth")),
            Some(user) => (user.sees_it(), user.berth()),
        };
        let enters = self.namespace.iter().flat_map(Namespace::enters);
        let mut words = enters.chain(sees).chain([berth.into_os_string()]);
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .args(arguments)
            .env("BERTH_STATE", self.repo())
            .env("BERTH_DATA", self.data())
            .env("DOCKER_HOST", &self.host)
            .env("BERTH_GIT_SOCKET_DIR", self.door())
            .env("BERTH_GATE_FOLDER", self.gate())
            .env("BERTH_PANEL", self.panel())
            .env("NO_COLOR", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env(MARK, build_folder())
            .env_remove("BERTH_LOG");
        command
    }

    /// Runs a `berth` command, whatever comes of it.
    #[track_caller]
    pub fn berth(&self, arguments: &[&str]) -> Ran {
        run(&mut self.berth_command(arguments), Duration::from_secs(180))
    }

    /// Applies the state; every change must succeed.
    #[track_caller]
    pub fn apply(&self) -> Ran {
        self.berth(&["apply"]).good()
    }

    /// Asserts that there is nothing left to do.
    #[track_caller]
    pub fn settled(&self) -> &Self {
        self.berth(&["plan"]).coded(0);
        self
    }

    /// Starts the reconciler and waits until it answers.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        let daemon = self.stays(&mut self.berth_command(&["reconcile"]));
        eventually("the reconciler answers", || {
            assert!(daemon.is_alive(), "the reconciler ended:\n{}", daemon.log());
            // Without a daemon the command looks for itself, and names no process.
            (self.status()?["pid"] == daemon.pid()).then_some(())
        });
        daemon
    }

    /// Starts all of the platform's processes, as they are started anywhere: nobody says where the door is. Waits until the
    /// reconciler and the door answer.
    #[track_caller]
    pub fn up(&self) -> Daemon {
        let mut command = self.berth_command(&["up"]);
        let up = self.stays(command.env_remove("BERTH_GIT_SOCKET_DIR"));
        within(BOOT, "the reconciler answers", || self.status()?["pid"].as_u64());
        let door = self.panel().join("web.sock");
        within(BOOT, "the door answers", || UnixStream::connect(&door).ok());
        up
    }

    /// Starts a `berth` command that stays, and waits for nothing.
    pub fn stays(&self, command: &mut Command) -> Daemon {
        let log = self.home.path().join("daemon.log");
        let file = fs::File::options().create(true).append(true).open(&log).expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .expect("start berth");
        Daemon { child, log }
    }

    /// Status that `berth status` gives to programs; `None` while there is none yet.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.berth(&["status", "--json"]).stdout).ok()
    }

    /// The engine that it lives on, by hand.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The container's name of a server.
    pub fn name(&self, id: u32) -> String {
        format!("{}-users-dind-{id}", self.prefix)
    }

    /// The container of a server, if it is there.
    #[track_caller]
    pub fn find(&self, id: u32) -> Option<Container> {
        self.docker.find(&self.name(id))
    }

    /// The container of a server, which must be there.
    #[track_caller]
    pub fn server(&self, id: u32) -> Container {
        self.docker.container(&self.name(id))
    }

    /// Waits until a server runs, and returns its container.
    #[track_caller]
    pub fn running(&self, id: u32) -> Container {
        eventually(&format!("server {id} runs"), || self.find(id).filter(Container::runs))
    }

    /// Waits until a server can be used, and starts an app on its port 8080.
    #[track_caller]
    pub fn serve_page(&self, id: u32, words: &str) {
        self.running(id);
        let (docker, name) = (self.docker(), self.name(id));
        docker.shell(&name, &format!("mkdir -p /srv/app && echo '{words}' > /srv/app/index.html")).good();
        docker.run(&["exec", "-d", &name, "busybox", "httpd", "-f", "-p", "8080", "-h", "/srv/app"]);
        within(BOOT, "the app answers in its server", || {
            docker.shell(&name, "curl -sS -m 2 http://127.0.0.1:8080/").is_good().then_some(())
        });
    }

    /// Leaves a mark in a server's data.
    #[track_caller]
    pub fn leave_mark(&self, id: u32, mark: &str) {
        let script =
            format!("for f in /apps /home /var/lib/docker; do echo {mark} > $f/mark || exit 1; done");
        self.docker.shell(&self.name(id), &script).good();
    }

    /// Asserts that the mark is in a server's data still.
    #[track_caller]
    pub fn has_mark(&self, id: u32, mark: &str) {
        let ran = self.docker.shell(&self.name(id), "cat /apps/mark /home/mark /var/lib/docker/mark").good();
        assert_eq!(ran.stdout, format!("{mark}\n{mark}\n{mark}\n"), "the data of server {id}");
    }

    /// Every container of the platform, by name: with ids and times of start, so that two looks can be compared.
    #[track_caller]
    pub fn containers(&self) -> std::collections::BTreeMap<String, Container> {
        self.docker.containers_of(&self.prefix)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // What its holder's runtime has written down of it.
        for end in ["", ".lock"] {
            let _ =
                fs::remove_file(Path::new(berth_link::REGISTRATIONS).join(format!("{}{end}", self.prefix)));
        }
        // What was kept of its part on the machine.
        let _ = berth_link::KeptRules::remove(Path::new(berth_link::HOST_RULES), &self.prefix);
        // Where its git door is, and where the panel listens to the edge.
        let prefix = self.prefix.parse().expect("a prefix");
        for folder in [berth_plan::system::door(&prefix), berth_plan::system::edge(&prefix)] {
            let _ = fs::remove_dir_all(folder);
        }
        let _ = fs::remove_dir_all(self.gate());
        // An engine that a story has killed takes its containers with it when it is stopped.
        if !self.docker.socket().exists() || !self.docker.answers() {
            return;
        }
        for failure in self.docker.remove_platform(&self.prefix) {
            eprintln!("left of {}: {failure}", self.prefix);
        }
    }
}

/// Settings for a platform of tiny servers.
fn write_settings(folder: &Folder, prefix: &str) {
    let [users, external] = subnets();
    let (server, holder) = (image::TINY, image::HOLDER);
    folder.write(
        "platform.toml",
        &format!(
            r#"domain = "stories.example.org"
prefix = "{prefix}"

[networks]
users = "{users}"
external = "{external}"

[images]
server = "{server}"
holder = "{holder}"

[services]
firewall = false
cache = false
web = false
router = false

[defaults]
cpus = 0.5
memory = "64 MiB"
pids = 64
disk = "64 MiB"

[quota]
servers = 100
cpus = 100
memory = "100 GiB"
disk = "100 GiB"
domains = 100

[removal_budget]
share = 1.0
count = 100
"#
        ),
    );
    folder.write("users/ann.toml", "role = \"admin\"\n");
}

/// Four subnets that no other platform of this run has and no route of this machine leads to.
fn subnets() -> [String; 2] {
    static FIRST: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    // A 10.x.0.0/16 has room for 64 platforms; a run needs two or three of them, side by side.
    const IN_A_ROW: u32 = 4;
    let first = *FIRST.get_or_init(|| {
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        // The second column is the destination, its bytes reversed: 10.77.0.0 is 00004D0A.
        let taken: Vec<&str> = routes.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        let is_free = |octet: u32| !taken.iter().any(|route| route.ends_with(&format!("{octet:02X}0A")));
        let start = std::process::id() % 150;
        (0..150)
            .map(|step| 60 + (start + step) % 150)
            .find(|octet| (*octet..octet + IN_A_ROW).all(is_free))
            .expect("free networks")
    });
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 64 * IN_A_ROW, "more platforms in one run than subnets");
    let (second, third) = (first + number / 64, 4 * (number % 64));
    [0, 1].map(|part| format!("10.{second}.{}.0/24", third + part))
}

/// A `berth` that stays.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether it is still there.
    pub fn is_alive(&self) -> bool {
        is_alive(self.pid())
    }

    /// Log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has logged these words.
    #[track_caller]
    pub fn says(&self, words: &str) {
        eventually(&format!("the log says `{words}`"), || self.log().contains(words).then_some(()));
    }

    /// Kills it where it stands.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) {
        send(self.pid(), Signal::TERM);
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        wait(&mut self.child, PATIENCE).unwrap_or_else(|| panic!("it does not end:\n{}", self.log()))
    }

    /// Asks it to end and asserts that it does so in good order.
    #[track_caller]
    pub fn end(mut self) {
        self.ask_to_end();
        let status = self.ended();
        assert!(status.success(), "{}:\n{}", ending(status), self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What `berth up` has started outlives it when it is killed.
        let started = match self.child.try_wait() {
            Ok(None) => children_of(&[self.pid()]),
            _ => Vec::new(),
        };
        let _ = self.child.kill();
        let _ = self.child.wait();
        for child in started {
            send(child, Signal::KILL);
        }
    }
}
