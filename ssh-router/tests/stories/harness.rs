//! A place: a folder with keys, one sshd, one router, and ways to talk to them. Everything ends with it.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use berth_schema::name::ServerId;
use berth_schema::route::{RouteServer, RouteUser, Routes};
use tempfile::TempDir;

/// The password of everybody who has one, hashed at the least cost that the schema takes.
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const BCRYPT: &str = "$2b$10$/6bNTysPXL5XOzRuAs79De5fBU3jhuQAYGnEiRogvmXSwUhhcSVEa";

/// What a story waits for at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a story takes at most. The slowest takes half a minute on a quiet machine.
const STORY_MAX: Duration = Duration::from_secs(600);

/// Fails a story that hangs: it waits for a process, or for what one says, so this test's processes are ended.
struct Watch(Sender<()>);

impl Watch {
    fn new() -> Self {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let (story, ended) = mpsc::channel();
        std::thread::spawn(move || {
            if ended.recv_timeout(STORY_MAX) == Err(RecvTimeoutError::Timeout) {
                for child in children() {
                    // It may have ended by itself.
                    let _ = Command::new("kill").args(["-KILL", &child]).status();
                }
                panic!("{name} took more than {STORY_MAX:?}");
            }
        });
        Self(story)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The watch may be over.
        let _ = self.0.send(());
    }
}

/// The processes that this one started.
fn children() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    // A thread may end meanwhile.
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A process that ends with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) sshd_port: u16,
    pub(crate) router: Running,
    _sshd: Running,
    _watch: Watch,
}

/// ann owns `shop` (1), bob is its member, carol an admin; eve owns `wiki` (2), whose sshd shows another host key than
/// the pinned one; `gone` (3) has no sshd.
impl Place {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// A place whose router has more flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        Self::with_sshd(flags, "")
    }

    /// A place whose router has more flags, and whose sshd has more lines in its configuration.
    pub(crate) fn with_sshd(flags: &[&str], lines: &str) -> Self {
        let watch = Watch::new();
        let folder = tempfile::tempdir().unwrap();
        for key in ["ann", "bob", "carol", "eve", "router", "host", "upstream", "other"] {
            keygen(&folder.path().join(key));
        }
        let sshd_port = free_port();
        let sshd = start_sshd(folder.path(), sshd_port, lines);
        let routes = routes(folder.path(), sshd_port);
        fs::write(folder.path().join("routes.toml"), routes.render().unwrap()).unwrap();
        let port = free_port();
        let router = start_router(folder.path(), port, flags);
        let known = [(port, "router"), (sshd_port, "host")]
            .map(|(port, key)| format!("[127.0.0.1]:{port} {}\n", public(folder.path(), key)))
            .concat();
        fs::write(folder.path().join("known_hosts"), known).unwrap();
        Self { folder, port, sshd_port, router, _sshd: sshd, _watch: watch }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn routes(&self) -> Routes {
        routes(self.folder.path(), self.sshd_port)
    }

    /// Replaces the routes file as the reconciler does.
    pub(crate) fn put_routes(&self, text: &str) {
        let new = self.path("routes.toml.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path("routes.toml")).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("router.log")).unwrap()
    }

    pub(crate) fn await_log(&self, part: &str) {
        await_that(&format!("`{part}` in the log"), || self.log().contains(part));
    }

    /// Options that every client of OpenSSH takes.
    pub(crate) fn options(&self, key: &str) -> Vec<String> {
        let known = self.path("known_hosts");
        [
            "-F",
            "none",
            "-o",
            &format!("UserKnownHostsFile={}", known.display()),
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "LogLevel=ERROR",
            "-i",
            &self.path(key).display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// `ssh` as somebody by key, up to and with the destination.
    pub(crate) fn ssh(&self, key: &str, login: &str, flags: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.options(key)).args(["-o", "BatchMode=yes", "-p", &self.port.to_string()]);
        command.args(flags).arg(format!("{login}@127.0.0.1")).stdin(Stdio::null());
        command
    }

    /// What a command says as ann on `shop`.
    pub(crate) fn run(&self, remote: &str) -> Output {
        self.ssh("ann", "shop", &[]).arg(remote).output().unwrap()
    }

    /// `ssh` straight to the server's sshd, as the router logs in there.
    pub(crate) fn ssh_direct(&self, flags: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.options("upstream")).args(["-o", "BatchMode=yes", "-p"]);
        command.arg(self.sshd_port.to_string()).args(flags).arg("root@127.0.0.1").stdin(Stdio::null());
        command
    }

    /// `ssh` with a password.
    pub(crate) fn ssh_password(&self, login: &str, password: &str, remote: &str) -> Output {
        let mut command = Command::new("sshpass");
        command.args(["-p", password, "ssh"]).args(self.options("other"));
        command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
        command.args(["-p", &self.port.to_string(), &format!("{login}@127.0.0.1"), remote]);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// A session that lives until it is told to end.
    pub(crate) fn long_session(&self, key: &str, login: &str, flags: &[&str]) -> Running {
        let mut child = self
            .ssh(key, login, flags)
            .arg("echo started; cat; echo ended")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 8];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        assert_eq!(&first, b"started\n");
        Running(child)
    }
}

pub(crate) fn routes(folder: &Path, sshd_port: u16) -> Routes {
    let user = |name: &str, admin: bool, password: bool| RouteUser {
        admin,
        password_hash: password.then(|| BCRYPT.to_owned()),
        keys: vec![public(folder, name).parse().unwrap()],
    };
    let server = |id: u32, owner: &str, port: u16, host_key: &str| RouteServer {
        id: ServerId(id.try_into().unwrap()),
        owner: owner.parse().unwrap(),
        members: if id == 1 { vec!["bob".parse().unwrap()] } else { vec![] },
        host: "127.0.0.1".parse().unwrap(),
        port,
        user: "root".parse().unwrap(),
        host_key: public(folder, host_key).parse().unwrap(),
    };
    let name = |name: &str| name.parse().unwrap();
    Routes::new(folder.join("upstream"))
        .with_user(name("ann"), user("ann", false, true))
        .with_user(name("bob"), user("bob", false, false))
        .with_user(name("carol"), user("carol", true, false))
        .with_user(name("eve"), user("eve", false, false))
        .with_server("shop".parse().unwrap(), server(1, "ann", sshd_port, "host"))
        .and_then(|routes| routes.with_server("wiki".parse().unwrap(), server(2, "eve", sshd_port, "other")))
        .and_then(|routes| routes.with_server("gone".parse().unwrap(), server(3, "eve", 1, "host")))
        .unwrap()
}

pub(crate) fn public(folder: &Path, key: &str) -> String {
    fs::read_to_string(folder.join(format!("{key}.pub"))).unwrap().trim().to_owned()
}

pub(crate) fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "story", "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

/// A port that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn start_sshd(folder: &Path, port: u16, lines: &str) -> Running {
    // Compiled into sshd, which refuses to start without.
    fs::create_dir_all("/run/sshd").unwrap();
    fs::copy(folder.join("upstream.pub"), folder.join("authorized_keys")).unwrap();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\n\
         StrictModes no\nPidFile none\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         Subsystem sftp internal-sftp\nAcceptEnv BERTH_*\nMaxStartups 200\nMaxSessions 100\n\
         PermitTTY yes\nPrintMotd no\nPrintLastLog no\nX11Forwarding no\n{lines}",
        folder.display()
    );
    fs::write(folder.join("sshd_config"), config).unwrap();
    let log = fs::File::create(folder.join("sshd.log")).unwrap();
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd is installed");
    await_port(port);
    Running(child)
}

pub(crate) fn start_router(folder: &Path, port: u16, flags: &[&str]) -> Running {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("router.log")).unwrap();
    let child = router_command(folder, flags)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    await_port(port);
    Running(child)
}

/// The router without an address.
pub(crate) fn router_command(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth-ssh-router"));
    command.arg("--routes").arg(folder.join("routes.toml"));
    command.arg("--host-key").arg(folder.join("router"));
    command.arg("--overflow-dir").arg(folder);
    command.env("BERTH_SSH_FAILURE_DELAY", "600ms").env("BERTH_SSH_EXEMPT", "127.0.0.0/8").args(flags);
    command
}

pub(crate) fn await_port(port: u16) {
    await_that("a listener", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// Looks again until it is so.
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a process to end, and fails when it doesn't.
pub(crate) fn await_end(child: &mut Child, within: Duration) -> std::process::ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < within, "still running after {within:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A file of so many bytes that don't repeat.
pub(crate) fn noise(path: &Path, bytes: usize) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    for _ in 0..bytes / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Resident bytes of the router.
pub(crate) fn memory_of(place: &Place) -> u64 {
    bytes_of(place, "VmRSS:")
}

/// The most that it ever had.
pub(crate) fn most_memory_of(place: &Place) -> u64 {
    bytes_of(place, "VmHWM:")
}

fn bytes_of(place: &Place, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", place.router.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}
