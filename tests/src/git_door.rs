//! The git door: `berth git`, the SSH router in front of it, and people with keys who clone and push through both.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_schema::route::{RouteUser, Routes};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::folder::{Folder, git};
use crate::ground::scratch;
use crate::process::{MARK, PATIENCE, Ran, build_folder, built, eventually, run, send, wait};

/// Time that a push may take on a busy machine: it waits for the reconciler.
const PUSH: Duration = Duration::from_secs(180);

/// A door that is open, and who may come through it.
#[derive(Debug)]
pub struct GitDoor {
    home: TempDir,
    state: PathBuf,
    data: PathBuf,
    /// Folder of what the gate is told.
    gate: PathBuf,
    /// Folder of the programs; `None` for those of this build.
    programs: Option<PathBuf>,
    port: u16,
    router: Option<Child>,
    door: Option<Child>,
    names: Nameless,
}

/// Surroundings of a door, besides its state repo.
#[derive(Debug, Default)]
struct Around {
    /// Folder of what a gate is told.
    gate: Option<PathBuf>,
    /// Folder of another build's programs.
    programs: Option<PathBuf>,
}

/// Somebody with a clone of what they may see.
#[derive(Debug)]
pub struct Person {
    /// Their clone.
    pub clone: Folder,
    name: String,
    ssh: String,
}

impl GitDoor {
    /// A door to a new state repo of these files, without an engine. `people` have keys.
    pub fn alone(people: &[&str], files: &[(&str, &str)]) -> Self {
        let home = scratch();
        let first = Folder::at(&home.path().join("first"));
        for (path, text) in files {
            first.write(path, text);
        }
        let state = home.path().join("state.git");
        run(Command::new(built("berth")).arg("init").arg(&state).arg("--from").arg(first.path()), PATIENCE)
            .good();
        let data = home.path().join("data");
        Self::open(home, &state, &data, Around::default(), people)
    }

    /// A door to a state repo that somebody reconciles.
    pub fn of(state: &Path, data: &Path, people: &[&str]) -> Self {
        Self::open(scratch(), state, data, Around::default(), people)
    }

    /// The same by another build's programs, which lie in this folder.
    pub fn of_build(programs: Option<&Path>, state: &Path, data: &Path, people: &[&str]) -> Self {
        let around = Around { programs: programs.map(Path::to_owned), ..Around::default() };
        Self::open(scratch(), state, data, around, people)
    }

    /// The same, with a gate in the web server's container that it tells who may come in.
    pub fn with_gate(state: &Path, data: &Path, gate: PathBuf, people: &[&str]) -> Self {
        Self::open(scratch(), state, data, Around { gate: Some(gate), ..Around::default() }, people)
    }

    fn open(home: TempDir, state: &Path, data: &Path, around: Around, people: &[&str]) -> Self {
        for key in ["router", "upstream"].iter().chain(people) {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "story", "-f"]).arg(home.path().join(key));
            run(&mut keygen, PATIENCE).good();
        }
        let public = |key: &str| fs::read_to_string(home.path().join(format!("{key}.pub"))).expect("a key");
        let member = |name: &str| RouteUser {
            admin: false,
            password_hash: None,
            keys: vec![public(name).trim().parse().expect("a key")],
        };
        let routes = people.iter().fold(Routes::new(home.path().join("upstream")), |routes, name| {
            routes.with_user(name.parse().expect("a name"), member(name))
        });
        fs::write(home.path().join("routes.toml"), routes.render().expect("routes")).expect("routes");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let known = format!("[127.0.0.1]:{port} {}", public("router"));
        fs::write(home.path().join("known_hosts"), known).expect("a file");
        let (state, data, names) = (state.to_owned(), data.to_owned(), Nameless::new());
        // Whole before anything is started, so that whatever fails ends what was.
        let gate = around.gate.unwrap_or_else(|| home.path().join("gate"));
        let programs = around.programs;
        let mut opened = Self { home, state, data, gate, programs, port, router: None, door: None, names };
        opened.router = Some(opened.start_router(listener));
        opened.open_door();
        opened
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| built(name), |folder| folder.join(name))
    }

    fn start_router(&self, listener: TcpListener) -> Child {
        let home = self.home.path();
        Command::new(self.program("berth-ssh-router"))
            .args(["--listen", "stdin"])
            .arg("--routes")
            .arg(home.join("routes.toml"))
            .arg("--host-key")
            .arg(home.join("router"))
            .arg("--overflow-dir")
            .arg(home)
            .arg("--git-socket")
            .arg(self.folder().join("git.sock"))
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stderr(fs::File::create(home.join("router.log")).expect("a log"))
            .spawn()
            .expect("start the router")
    }

    /// Folder of the panel's sockets.
    pub fn panel(&self) -> PathBuf {
        self.data.with_file_name("panel")
    }

    /// Process of the door, while it is open.
    pub fn pid(&self) -> Option<u32> {
        self.door.as_ref().map(Child::id)
    }

    /// Opens the door, the first time or after it was killed.
    #[track_caller]
    pub fn open_door(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.home.path().join("door.log"));
        let door = Command::new(self.program("berth"))
            .arg("git")
            .arg("--state")
            .arg(&self.state)
            .arg("--data")
            .arg(&self.data)
            .arg("--socket-dir")
            .arg(self.folder())
            .arg("--resolver")
            .arg(self.names.at.to_string())
            .arg("--gate-folder")
            .arg(&self.gate)
            .arg("--panel-folder")
            .arg(self.panel())
            // A busy machine is no reason to give another answer.
            .env("BERTH_WAIT", "150")
            .env("BERTH_LOOK", "60")
            .env(MARK, build_folder())
            .stdin(Stdio::null())
            .stderr(log.expect("a log"))
            .process_group(0)
            .spawn()
            .expect("start the door");
        // A socket alone may be one that was left behind.
        let (socket, log) = (self.folder().join("git.sock"), self.home.path().join("door.log"));
        let door = self.door.insert(door);
        eventually("the git door opens", || {
            let ended = door.try_wait().expect("a door");
            assert!(ended.is_none(), "the git door ended:\n{}", fs::read_to_string(&log).unwrap_or_default());
            UnixStream::connect(&socket).ok()
        });
    }

    /// Kills the door where it stands.
    pub fn kill_door(&mut self) {
        let mut door = self.door.take().expect("a door");
        let _ = door.kill();
        let _ = door.wait();
    }

    /// Folder of the door's socket.
    fn folder(&self) -> PathBuf {
        self.home.path().join("door")
    }

    /// The state repo.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Berth's own folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Log of the door.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("door.log")).unwrap_or_default()
    }

    /// Log of the router.
    pub fn router_log(&self) -> String {
        fs::read_to_string(self.home.path().join("router.log")).unwrap_or_default()
    }

    /// The tip of `main` in the state repo.
    #[track_caller]
    pub fn tip(&self) -> String {
        self.tip_of("main")
    }

    /// The newest commit of a branch in the state repo.
    pub fn tip_of(&self, branch: &str) -> String {
        let ran = run(git().arg("--git-dir").arg(&self.state).args(["rev-parse", branch]), PATIENCE).good();
        ran.stdout.trim().to_owned()
    }

    /// The command by which somebody reaches the router, up to and without the destination.
    pub fn ssh(&self, name: &str) -> String {
        let (known, key) = (self.home.path().join("known_hosts"), self.home.path().join(name));
        format!(
            "ssh -F none -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes \
             -o BatchMode=yes -o LogLevel=ERROR -i {}",
            known.display(),
            key.display()
        )
    }

    /// The file with somebody's key.
    pub fn key(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The file with the public half of the router's key.
    pub fn host_key(&self) -> PathBuf {
        self.home.path().join("router.pub")
    }

    /// The router's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of the state, as people give it to git.
    pub fn url(&self) -> String {
        format!("ssh://git@127.0.0.1:{}/state", self.port)
    }

    /// Clones as somebody.
    #[track_caller]
    pub fn clone_as(&self, name: &str) -> Person {
        let path =
            tempfile::Builder::new().prefix(name).tempdir_in(self.home.path()).expect("a folder").keep();
        let ssh = self.ssh(name);
        run(git().env("GIT_SSH_COMMAND", &ssh).args(["clone", "--quiet", &self.url()]).arg(&path), PUSH)
            .good();
        Person { clone: Folder::at(&path), name: name.to_owned(), ssh }
    }

    /// Runs a command of the login `git` as somebody.
    #[track_caller]
    pub fn ask(&self, name: &str, command: &str) -> Ran {
        run(&mut self.ask_command(name, command), PUSH)
    }

    /// A command of the login `git` as somebody, to be run.
    pub fn ask_command(&self, name: &str, command: &str) -> Command {
        let ssh = self.ssh(name);
        let mut words = ssh.split_whitespace();
        let mut ssh = Command::new(words.next().expect("ssh"));
        ssh.args(words).args(["-p", &self.port.to_string(), "git@127.0.0.1", command]);
        ssh
    }
}

impl Drop for GitDoor {
    fn drop(&mut self) {
        if let Some(router) = &mut self.router {
            let _ = router.kill();
            let _ = router.wait();
        }
        if let Some(door) = &mut self.door {
            // Asked, so that it ends what it runs.
            send(door.id(), Signal::TERM);
            if wait(door, PATIENCE).is_none() {
                let _ = door.kill();
                let _ = door.wait();
            }
        }
    }
}

/// A resolver that knows no name, so that nobody further away is asked whose one is.
#[derive(Debug)]
struct Nameless {
    at: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Nameless {
    fn new() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
        let at = socket.local_addr().expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a deadline");
        let over = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&over);
        std::thread::spawn(move || {
            let mut datagram = [0; 512];
            while !done.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut datagram) else { continue };
                // The question comes back as an answer: "no such name" (RFC 1035, 4.1.1).
                datagram[2] |= 0x80;
                datagram[3] = 0x83;
                let _ = socket.send_to(&datagram[..length], from);
            }
        });
        Self { at, over }
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Person {
    /// The command by which git reaches the router as them.
    pub fn ssh(&self) -> &str {
        &self.ssh
    }

    /// Their name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs git in their clone.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments), PUSH)
    }

    /// Git in their clone, to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = git();
        command.env("GIT_SSH_COMMAND", &self.ssh).arg("-C").arg(self.clone.path()).args(arguments);
        command
    }

    /// Changes files and commits them; returns the revision.
    #[track_caller]
    pub fn commit(&self, change: impl FnOnce(&Folder)) -> String {
        change(&self.clone);
        self.git(&["add", "--all"]).good();
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]).good();
        self.git(&["rev-parse", "HEAD"]).good().stdout.trim().to_owned()
    }

    /// Pushes to main, in plain text.
    #[track_caller]
    pub fn push(&self) -> Ran {
        self.git(&["push", "-o", "no-color", "origin", "HEAD:main"])
    }

    /// Changes, commits and pushes.
    #[track_caller]
    pub fn push_change(&self, change: impl FnOnce(&Folder)) -> Ran {
        self.commit(change);
        self.push()
    }

    /// Takes back what wasn't accepted.
    #[track_caller]
    pub fn again(&self) {
        self.git(&["fetch", "--quiet", "origin"]).good();
        self.git(&["reset", "--quiet", "--hard", "origin/main"]).good();
    }
}
