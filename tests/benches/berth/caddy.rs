//! Two web servers in a network namespace of their own, with an app behind them: the edge and its table, run by their
//! image's programs, and a single Caddy with a site block for each domain.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use berth_plan::render::{self, Kind, Templates};
use berth_schema::State;
use berth_tests::namespace::Namespace;
use berth_tests::process::{processes, send, source_tree, wait};
use rustix::process::Signal;
use tempfile::TempDir;

/// Port at which every server's app listens.
pub(crate) const APP_PORT: u16 = 8080;
/// Ports at which the edge and the single Caddy are reached, at 127.0.0.1.
pub(crate) const EDGE_PORT: u16 = 80;
pub(crate) const SINGLE_PORT: u16 = 8081;

const PATIENCE: Duration = Duration::from_secs(120);

/// A namespace in which all addresses of servers are the app's, and folders for what runs in it.
pub(crate) struct Ground {
    namespace: Namespace,
    folder: TempDir,
    ended: Arc<AtomicBool>,
    app: Option<JoinHandle<()>>,
}

impl Ground {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let namespace = Namespace::make("bench");
        namespace.ip(&["route", "add", "local", "10.0.0.0/8", "dev", "lo"]);
        let folder = tempfile::tempdir()?;
        for part in ["run", "data", "config"] {
            fs::create_dir_all(folder.path().join(part))?;
        }
        let listener =
            namespace.enter(|| TcpListener::bind(("0.0.0.0", APP_PORT))).context("the app's port")?;
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let app = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                thread::spawn(move || answer(&stream));
            }
        });
        Ok(Self { namespace, folder, ended, app: Some(app) })
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The beginning of a command in the namespace, with the places that the image's programs use.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.namespace.command();
        command
            .env("BERTH_RUN", self.path("run"))
            .env("BERTH_DATA", self.path("data"))
            .env("BERTH_CONFIG", self.path("config"))
            .env("HOME", self.path("data"))
            .env("XDG_DATA_HOME", self.path("data"))
            .stdin(Stdio::null())
            .arg(program);
        command
    }

    fn caddy(&self, verb: &str, config: &Path) -> Command {
        let mut command = self.command("caddy");
        command.arg(verb).arg("--config").arg(config).args(["--adapter", "caddyfile"]);
        command
    }

    /// Checks that Caddy takes a file.
    pub(crate) fn check(&self, config: &Path) -> anyhow::Result<()> {
        good(&mut self.caddy("validate", config))
    }

    /// Gives a file to a running Caddy: `edge`, `table` or `single`.
    pub(crate) fn reload(&self, process: &str, config: &Path) -> anyhow::Result<()> {
        let socket = self.path("run").join(format!("{process}-admin.sock"));
        good(self.caddy("reload", config).arg("--address").arg(format!("unix/{}", socket.display())))
    }

    /// Asks for a domain, once.
    pub(crate) fn ask(&self, port: u16, host: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = self.namespace.enter(|| TcpStream::connect(("127.0.0.1", port)))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Ok((status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
    }

    /// Asks until the app has answered, and makes sure that it is the right one.
    pub(crate) fn answered(&self, port: u16, host: &str, expected: &str) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.ask(port, host) {
                Ok((200, body)) => {
                    ensure!(body == expected, "`{body}` answers for {host}, and not `{expected}`");
                    return Ok(());
                }
                found if Instant::now() > until => bail!("nobody answers for {host}: {found:?}"),
                _ => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = self.namespace.enter(|| TcpStream::connect(("127.0.0.1", APP_PORT)));
        if let Some(app) = self.app.take() {
            let _ = app.join();
        }
        self.namespace.end();
    }
}

/// The app: says at which address it was reached, and for which host.
fn answer(stream: &TcpStream) -> Option<()> {
    let address = stream.local_addr().ok()?.ip();
    stream.set_nodelay(true).ok()?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let (mut line, mut host) = (String::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("host")
        {
            value.trim().clone_into(&mut host);
        }
        if line == "\r\n" {
            let body = format!("{address} {host}");
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            writer.write_all(text.as_bytes()).ok()?;
        }
    }
}

/// The edge and the table, as their container runs them.
pub(crate) struct Pair<'a> {
    ground: &'a Ground,
    start: Child,
}

impl<'a> Pair<'a> {
    /// Starts both with what is rendered of a state.
    pub(crate) fn start(ground: &'a Ground, state: &State) -> anyhow::Result<Self> {
        for kind in [Kind::Caddy, Kind::Sites] {
            let text =
                render::render(kind, state, &Templates::default(), &berth_plan::Identities::example([]))?;
            fs::write(ground.path("config").join(kind.file()), text)?;
        }
        Ok(Self { ground, start: spawn(&mut ground.command(program("start")))? })
    }

    /// Makes a text the table's, as the reconciler does: checks it, loads it, and confirms it.
    pub(crate) fn put(&self, text: &str, mut did: impl FnMut(&str)) -> anyhow::Result<()> {
        let file = self.ground.path("config").join(Kind::Sites.file());
        let next = file.with_extension("Caddyfile.next");
        fs::write(&next, text)?;
        for (act, more) in [("check", None), ("load", Some("checked"))] {
            good(self.ground.command(program(act)).arg(Kind::Sites.as_str()).arg(&next).args(more))?;
            did(act);
        }
        Ok(fs::rename(next, file)?)
    }

    /// The resident memory of both, in KiB.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let of = |name: &str| -> anyhow::Result<u64> {
            let folder = self.ground.path("run").join(name);
            let wanted = format!("XDG_CONFIG_HOME={}", folder.display());
            let is_it = |pid: &u32| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                program.trim() == "caddy"
                    && environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes())
            };
            resident(processes().into_iter().find(is_it).with_context(|| format!("the {name} doesn't run"))?)
        };
        Ok((of("edge")?, of("table")?))
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        end(&mut self.start);
    }
}

/// A single Caddy with a site block for each domain.
pub(crate) struct Single {
    caddy: Child,
}

impl Single {
    /// Starts it with a file.
    pub(crate) fn start(ground: &Ground, config: &Path) -> anyhow::Result<Self> {
        let mut command = ground.caddy("run", config);
        Ok(Self { caddy: spawn(command.env("XDG_CONFIG_HOME", ground.path("run").join("single")))? })
    }

    /// Global options: where it is reached, and nothing that would cost more than the table's.
    pub(crate) fn options(ground: &Ground) -> String {
        let socket = ground.path("run").join("single-admin.sock");
        format!(
            "\tadmin unix/{}\n\thttp_port {SINGLE_PORT}\n\tauto_https disable_certs\n\tlog {{\n\t\tlevel WARN\n\t}}\n",
            socket.display()
        )
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        resident(self.caddy.id())
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        end(&mut self.caddy);
    }
}

/// A program of the web server's image.
fn program(name: &str) -> PathBuf {
    source_tree().join("templates/caddy/rootfs/usr/lib/berth").join(name)
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start a web server")
}

fn end(child: &mut Child) {
    send(child.id(), Signal::TERM);
    if wait(child, Duration::from_secs(10)).is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Runs a command that must succeed, and waits for nothing but its end.
pub(crate) fn good(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no resident memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
