//! The sshd of a server, a second sshd to jump through, and the router, on loopback; and the clients' configuration by
//! which each way has a name.

use std::collections::HashMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use berth_schema::route::{RouteServer, RouteUser, Routes};
use berth_tests::process::{built, eventually, processes};
use tempfile::TempDir;

/// A way to the server's sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// The client connects to it.
    Direct,
    /// `ssh -J`, through a second sshd.
    Jump,
    /// Through the router.
    Berth,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Jump, Self::Berth];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Jump => "`ssh -J`",
            Self::Berth => "Berth",
        }
    }

    fn host(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Jump => "through",
            Self::Berth => "shop",
        }
    }
}

/// Settings of clients besides their destination. The client that jumps reads them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// OpenSSH as it comes.
    Unconfigured,
    /// The same key exchange on every connection.
    EqualKeyExchange,
    /// The same cipher on every connection.
    EqualCipher,
}

impl Client {
    const ALL: [Self; 3] = [Self::Unconfigured, Self::EqualKeyExchange, Self::EqualCipher];

    fn lines(self) -> &'static str {
        match self {
            Self::Unconfigured => "",
            Self::EqualKeyExchange => "KexAlgorithms curve25519-sha256\n",
            Self::EqualCipher => "Ciphers aes256-gcm@openssh.com\n",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::EqualKeyExchange => "key-exchange",
            Self::EqualCipher => "cipher",
        }
    }
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

/// See the module.
pub(crate) struct Ground {
    folder: TempDir,
    router: Running,
    gate: Running,
    server: Running,
}

/// Bytes that one channel through the router may have on disk.
pub(crate) const OVERFLOW: u64 = 1 << 30;

impl Ground {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        for key in ["ann", "router", "host", "upstream"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"]).arg(path.join(key));
            ensure!(keygen.status().context("ssh-keygen")?.success(), "ssh-keygen failed");
        }
        let keys = format!("{}\n{}\n", public(path, "upstream")?, public(path, "ann")?);
        fs::write(path.join("authorized_keys"), keys)?;
        let [server_port, gate_port, port] = [free_port()?, free_port()?, free_port()?];
        let server = sshd(path, server_port)?;
        let gate = sshd(path, gate_port)?;
        fs::write(path.join("routes.toml"), routes(path, server_port)?.render()?)?;
        let known: String = [(server_port, "host"), (gate_port, "host"), (port, "router")]
            .into_iter()
            .map(|(port, key)| Ok(format!("[127.0.0.1]:{port} {}\n", public(path, key)?)))
            .collect::<anyhow::Result<_>>()?;
        fs::write(path.join("known_hosts"), known)?;
        for client in Client::ALL {
            let text = format!(
                "Host direct through\n  Port {server_port}\n  User root\nHost through\n  ProxyJump gate\n\
                 Host gate\n  Port {gate_port}\n  User root\nHost shop\n  Port {port}\n  User shop\n\
                 Host *\n  HostName 127.0.0.1\n  IdentityFile {0}/ann\n  IdentitiesOnly yes\n  BatchMode yes\n  \
                 UserKnownHostsFile {0}/known_hosts\n  LogLevel ERROR\n  {1}",
                path.display(),
                client.lines()
            );
            fs::write(path.join(client.file()), text)?;
        }
        let router = Command::new(built("berth-ssh-router"))
            .args(["--listen", &format!("127.0.0.1:{port}"), "--exempt", "127.0.0.0/8"])
            .args(["--half-open", "1000:30:2000", "--half-open-each", "1000"])
            .args(["--overflow", &OVERFLOW.to_string(), "--overflow-dir"])
            .arg(path)
            .arg("--routes")
            .arg(path.join("routes.toml"))
            .arg("--host-key")
            .arg(path.join("router"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(path.join("router.log"))?)
            .spawn()
            .context("start the router")?;
        let router = Running(router);
        await_port(port);
        Ok(Self { folder, router, gate, server })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ssh` on that way, up to and with the destination.
    pub(crate) fn ssh(&self, way: Way, client: Client, flags: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.path(client.file())).args(flags).arg(way.host()).stdin(Stdio::null());
        command
    }

    /// Memory of what a way leads to or through, in bytes: the server's sshd, which every way ends at, the sshd that is
    /// jumped through, or the router.
    pub(crate) fn memory(&self, way: Way) -> anyhow::Result<u64> {
        match way {
            Way::Direct => Ok(sshd_memory(&self.server)),
            Way::Jump => Ok(sshd_memory(&self.gate)),
            Way::Berth => memory_of(self.router.0.id(), "status", "VmRSS:"),
        }
    }

    /// The most memory that the router ever had.
    pub(crate) fn router_peak(&self) -> anyhow::Result<u64> {
        memory_of(self.router.0.id(), "status", "VmHWM:")
    }

    /// Seconds of a processor that the router has used.
    pub(crate) fn router_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.router.0.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| -> Option<f64> { fields.get(field)?.parse().ok() };
        let used = ticks(11).zip(ticks(12)).context("the router's times")?;
        Ok((used.0 + used.1) / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Bytes of the router's files that have no name.
    pub(crate) fn router_disk(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let files = fs::read_dir(format!("/proc/{}/fd", self.router.0.id())).into_iter().flatten().flatten();
        let unnamed = files.filter(|file| {
            let target = fs::read_link(file.path()).unwrap_or_default();
            target.starts_with(self.folder.path()) && target.to_string_lossy().ends_with(" (deleted)")
        });
        unnamed.filter_map(|file| fs::metadata(file.path()).ok()).map(|file| file.blocks() * 512).sum()
    }
}

/// Memory of an sshd and of its sessions' processes, shared pages counted in parts.
fn sshd_memory(sshd: &Running) -> u64 {
    let parents: HashMap<u32, u32> =
        processes().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let first = sshd.0.id();
    let below = |mut pid: u32| {
        while pid != first {
            match parents.get(&pid) {
                Some(parent) => pid = *parent,
                None => return false,
            }
        }
        true
    };
    // One that has ended since the look has none.
    let memory = |pid: &u32| memory_of(*pid, "smaps_rollup", "Pss:").unwrap_or_default();
    parents.keys().filter(|pid| below(**pid)).map(memory).sum()
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn memory_of(pid: u32, file: &str, name: &str) -> anyhow::Result<u64> {
    let text =
        fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("memory of {pid}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes << 10)
}

fn sshd(folder: &Path, port: u16) -> anyhow::Result<Running> {
    // Compiled into sshd, which refuses to start without.
    fs::create_dir_all("/run/sshd")?;
    let file = folder.join(format!("sshd-{port}"));
    let text = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\n\
         StrictModes no\nPidFile none\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         MaxStartups 1000\nSubsystem sftp internal-sftp\nMaxSessions 100\nPrintMotd no\nPrintLastLog no\n",
        folder.display()
    );
    fs::write(&file, text)?;
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(file)
        .stdin(Stdio::null())
        .stderr(fs::File::create(folder.join(format!("log-{port}")))?)
        .spawn()
        .context("start sshd")?;
    await_port(port);
    Ok(Running(child))
}

fn routes(folder: &Path, server_port: u16) -> anyhow::Result<Routes> {
    let ann = RouteUser {
        admin: false,
        password_hash: None,
        keys: vec![public(folder, "ann")?.parse().map_err(anyhow::Error::msg)?],
    };
    let shop = RouteServer {
        id: berth_schema::name::ServerId(1.try_into()?),
        owner: "ann".parse()?,
        members: vec![],
        host: "127.0.0.1".parse()?,
        port: server_port,
        user: "root".parse()?,
        host_key: public(folder, "host")?.parse()?,
    };
    Ok(Routes::new(folder.join("upstream"))
        .with_user("ann".parse()?, ann)
        .with_server("shop".parse()?, shop)?)
}

fn public(folder: &Path, key: &str) -> anyhow::Result<String> {
    Ok(fs::read_to_string(folder.join(format!("{key}.pub")))?.trim().to_owned())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn await_port(port: u16) {
    eventually("a listener", || TcpStream::connect(("127.0.0.1", port)).ok());
}
