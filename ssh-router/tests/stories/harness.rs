//! A place: a folder with keys, one sshd, one router, and ways to talk to them. Everything ends with it.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use berth_schema::name::ServerId;
use berth_schema::route::{RouteServer, RouteUser, Routes};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::watch::Watch;

/// The password of everybody who has one, hashed at the least cost that the schema takes.
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const BCRYPT: &str = "$2b$10$/6bNTysPXL5XOzRuAs79De5fBU3jhuQAYGnEiRogvmXSwUhhcSVEa";

/// Longest wait of a story for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Files that this process may have open: a flood is a thousand.
const FILES: u64 = 8192;

/// A process that ends with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of the loopback that no other place has, of this process or another: a port that is free there stays free,
/// and who listens is ours.
struct Address {
    ip: Ipv4Addr,
    /// Has port 1, and doesn't listen: nobody else can have it, and who connects to it is refused.
    _taken: Socket,
}

impl Address {
    fn new() -> Self {
        loop {
            let [first, second, third, ..] = RandomState::new().hash_one(()).to_ne_bytes();
            let ip = Ipv4Addr::new(127, first.max(1), second, third.clamp(1, 254));
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            match socket.bind(&SocketAddr::from((ip, 1)).into()) {
                Ok(()) => return Self { ip, _taken: socket },
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{ip}: {error}"),
            }
        }
    }

    fn free_port(&self) -> u16 {
        TcpListener::bind((self.ip, 0)).unwrap().local_addr().unwrap().port()
    }

    /// Starts what listens on a port. Who listens on every address may have taken that one meanwhile.
    fn start(&self, start: impl Fn(SocketAddr) -> Running) -> (Running, u16) {
        for _ in 0..5 {
            let port = self.free_port();
            let mut process = start((self.ip, port).into());
            if listens(&mut process, (self.ip, port).into()) {
                return (process, port);
            }
        }
        panic!("it doesn't listen on any of five ports");
    }
}

pub(crate) struct Place {
    pub(crate) port: u16,
    pub(crate) sshd_port: u16,
    pub(crate) router: Running,
    _sshd: Running,
    address: Address,
    pub(crate) folder: TempDir,
    pub(crate) watch: Watch,
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
        let limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(FILES).min(FILES);
        let current = limit.current.map(|now| now.max(most));
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
        let (folder, address) = (tempfile::tempdir().unwrap(), Address::new());
        let watch = Watch::new(folder.path());
        for key in ["ann", "bob", "carol", "eve", "router", "host", "upstream", "other"] {
            keygen(&folder.path().join(key));
        }
        fs::copy(folder.path().join("upstream.pub"), folder.path().join("authorized_keys")).unwrap();
        let (sshd, sshd_port) = address.start(|at| start_sshd(folder.path(), at, lines));
        let routes = routes(folder.path(), (address.ip, sshd_port).into());
        fs::write(folder.path().join("routes.toml"), routes.render().unwrap()).unwrap();
        let (router, port) = address.start(|at| start_router(folder.path(), at, flags));
        let mut place = Self { port, sshd_port, router, watch, _sshd: sshd, address, folder };
        place.lead_to(port);
        place
    }

    /// Address on which its router and its sshd listen, and nobody else.
    pub(crate) fn host(&self) -> Ipv4Addr {
        self.address.ip
    }

    /// A port of its address that is free until the story takes it.
    pub(crate) fn free_port(&self) -> u16 {
        self.address.free_port()
    }

    /// Clients go to this port, and know that the router is there.
    pub(crate) fn lead_to(&mut self, port: u16) {
        self.port = port;
        let known = [(port, "router"), (self.sshd_port, "host")]
            .map(|(port, key)| format!("[{}]:{port} {}\n", self.host(), public(self.folder.path(), key)));
        fs::write(self.path("known_hosts"), known.concat()).unwrap();
    }

    /// Another router, on a port of the place's.
    pub(crate) fn start_router(&self, port: u16, flags: &[&str]) -> Running {
        start_router(self.folder.path(), (self.host(), port).into(), flags)
    }

    /// A connection to the router that waits for nothing for ever.
    pub(crate) fn connect(&self) -> TcpStream {
        self.connect_to(self.port)
    }

    /// Such a connection to another port of the place's.
    pub(crate) fn connect_to(&self, port: u16) -> TcpStream {
        let stream = TcpStream::connect((self.host(), port)).unwrap();
        patient(&stream);
        stream
    }

    /// Name of a login as clients write it.
    pub(crate) fn at(&self, login: &str) -> String {
        format!("{login}@{}", self.host())
    }

    /// Waits until a process listens on a port of the place's, by one connection that it takes.
    pub(crate) fn await_listener(&self, process: &mut Running, port: u16) {
        assert!(listens(process, (self.host(), port).into()), "it has ended");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn routes(&self) -> Routes {
        routes(self.folder.path(), (self.host(), self.sshd_port).into())
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

    /// From the moment in which the routes file was put in place until the router wrote its last line with these words.
    pub(crate) fn since_the_routes_changed(&self, words: &str) -> Duration {
        let file = fs::metadata(self.path("routes.toml")).unwrap();
        let changed = Duration::new(file.ctime().try_into().unwrap(), file.ctime_nsec().try_into().unwrap());
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains(words)).unwrap();
        let written = humantime::parse_rfc3339(line.split(' ').next().unwrap()).unwrap();
        written.duration_since(UNIX_EPOCH + changed).unwrap_or_default()
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
        command.args(flags).arg(self.at(login)).stdin(Stdio::null());
        command
    }

    /// Runs a command as ann on `shop`.
    pub(crate) fn run(&self, remote: &str) -> Output {
        self.ssh("ann", "shop", &[]).arg(remote).output().unwrap()
    }

    /// `ssh` straight to the server's sshd, as the router logs in there.
    pub(crate) fn ssh_direct(&self, flags: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.options("upstream")).args(["-o", "BatchMode=yes", "-p"]);
        command.arg(self.sshd_port.to_string()).args(flags).arg(self.at("root")).stdin(Stdio::null());
        command
    }

    /// `ssh` with a password.
    pub(crate) fn ssh_password(&self, login: &str, password: &str, remote: &str) -> Output {
        let mut command = Command::new("sshpass");
        command.args(["-p", password, "ssh"]).args(self.options("other"));
        command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
        command.args(["-p", &self.port.to_string(), &self.at(login), remote]);
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

fn routes(folder: &Path, sshd: SocketAddr) -> Routes {
    let user = |name: &str, admin: bool, password: bool| RouteUser {
        admin,
        password_hash: password.then(|| BCRYPT.to_owned()),
        keys: vec![public(folder, name).parse().unwrap()],
    };
    let server = |id: u32, owner: &str, port: u16, host_key: &str| RouteServer {
        id: ServerId(id.try_into().unwrap()),
        owner: owner.parse().unwrap(),
        members: if id == 1 { vec!["bob".parse().unwrap()] } else { vec![] },
        host: sshd.ip().to_string().parse().unwrap(),
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
        .with_server("shop".parse().unwrap(), server(1, "ann", sshd.port(), "host"))
        .and_then(|routes| {
            routes.with_server("wiki".parse().unwrap(), server(2, "eve", sshd.port(), "other"))
        })
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

fn start_sshd(folder: &Path, at: SocketAddr, lines: &str) -> Running {
    // Compiled into sshd, which refuses to start without.
    fs::create_dir_all("/run/sshd").unwrap();
    fs::write(folder.join("sshd_config"), sshd_config(folder, at, lines)).unwrap();
    let log = fs::File::create(folder.join("sshd.log")).unwrap();
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    Running(command.stdin(Stdio::null()).stderr(log).spawn().expect("sshd is installed"))
}

/// Configuration of a server's sshd. Its own home keeps this machine's settings out of its shells.
pub(crate) fn sshd_config(folder: &Path, at: SocketAddr, lines: &str) -> String {
    format!(
        "Port {2}\nListenAddress {1}\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\n\
         StrictModes no\nPidFile none\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         Subsystem sftp internal-sftp\nAcceptEnv BERTH_*\nMaxStartups 200\nMaxSessions 100\n\
         GatewayPorts clientspecified\nPermitTTY yes\nPrintMotd no\nPrintLastLog no\nX11Forwarding no\nSetEnv HOME={0}\n{lines}",
        folder.display(),
        at.ip(),
        at.port()
    )
}

fn start_router(folder: &Path, at: SocketAddr, flags: &[&str]) -> Running {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("router.log")).unwrap();
    let mut command = router_command(folder, flags);
    command.args(["--listen", &at.to_string()]).stdin(Stdio::null()).stderr(log);
    Running(command.spawn().unwrap())
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

/// Waits for a process to listen; whether it does before it ends.
fn listens(process: &mut Running, at: SocketAddr) -> bool {
    let mut there = false;
    await_that("a listener", || {
        there = TcpStream::connect(at).is_ok();
        there || process.0.try_wait().unwrap().is_some()
    });
    there
}

/// The next connection, which must come.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    await_that("a connection", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (stream, _) = accepted.unwrap();
    patient(&stream);
    stream
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
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
