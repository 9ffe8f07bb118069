//! The web server as its image runs it, in a namespace of its own: the image's own programs, the configurations as they
//! are rendered, an app behind it, and visitors.
//!
//! Everything is reached at 127.0.0.1, whatever its name. The app is that of server 1.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use berth_plan::Identities;
use berth_plan::render::{self, Kind, Templates};
use berth_schema::{Parsed, State};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::folder::Folder;
use crate::ground::scratch;
use crate::namespace::Namespace;
use crate::process::{Ran, built, ending, eventually, run, send, source_tree, wait};

/// The app's place: server 1 of the default subnet.
pub const APP: (&str, u16) = ("172.19.2.16", 8080);
/// Addresses of visitors: one from anywhere, and one of Cloudflare's.
pub const VISITOR: &str = "203.0.113.5";
/// One of Cloudflare's own.
pub const CLOUDFLARE: &str = "173.245.48.9";

/// Version of HTTP that visitors get over TLS, as the image says of its Caddy.
pub fn version() -> &'static str {
    let mut protocols = Command::new(source_tree().join("templates/caddy/rootfs/usr/lib/berth/protocols"));
    match run(&mut protocols, LOADING).good().stdout.contains("h2") {
        true => "2",
        false => "1.1",
    }
}

const LOADING: Duration = Duration::from_secs(60);

/// A web server and what lies around it.
#[derive(Debug)]
pub struct Web {
    namespace: Namespace,
    folder: TempDir,
    state: Folder,
    start: Option<Child>,
}

impl Web {
    /// One that has no configuration yet.
    pub fn start() -> Self {
        let namespace = Namespace::make("web");
        for address in [APP.0, VISITOR, CLOUDFLARE] {
            namespace.ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
        }
        namespace.enter(serve_app);
        let folder = scratch();
        let state = Folder::at(&folder.path().join("state"));
        state.write("platform.toml", "domain = \"h.example.org\"\n");
        state.write("users/ann.toml", "[quota]\ncustom_domains = true\ndomains = 20000\n");
        state.server("one", 1, "").server("two", 2, "state = \"stopped\"\n");
        for part in ["run", "data", "config"] {
            fs::create_dir_all(folder.path().join(part)).expect("a folder");
        }
        let mut web = Self { namespace, folder, state, start: None };
        web.restart();
        web
    }

    /// The namespace that it runs in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The wanted state; [`Self::load`] brings it into force.
    pub fn state(&self) -> &Folder {
        &self.state
    }

    /// Writes the file of a domain of server 1 at the app's port, with more lines of its own.
    pub fn domain(&self, fqdn: &str, more: &str) -> &Self {
        let text = format!("server = \"one\"\nport = {}\n{more}", APP.1);
        self.state.write(&format!("domains/{}.toml", fqdn.replace('*', "_")), &text);
        self
    }

    /// The path of one of the image's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        source_tree().join("templates/caddy/rootfs/usr/lib/berth").join(name)
    }

    /// Has an app like that of server 1 stand in for the panel, at the socket that the edge passes visitors on to.
    pub fn serve_panel(&self) {
        let folder = self.run().join("panel");
        fs::create_dir(&folder).expect("a folder");
        let listener = UnixListener::bind(folder.join("edge.sock")).expect("the panel's socket");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer(&stream));
            }
        });
    }

    /// A command that runs in the namespace, with the places that the image's programs use.
    pub fn command(&self) -> Command {
        let mut command = self.namespace.command();
        let path = self.folder.path();
        command
            .env("BERTH_RUN", path.join("run"))
            .env("BERTH_DATA", path.join("data"))
            .env("BERTH_CONFIG", path.join("config"))
            .env("BERTH_PROGRAMS", built("berth-gate").parent().expect("a folder"))
            .env("HOME", path.join("data"));
        command
    }

    /// Ends what runs, as a container is stopped, and starts it again from what was confirmed.
    pub fn restart(&mut self) {
        if self.start.is_some() {
            assert_eq!(self.stop(), "exit code 0");
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).expect("a log");
        let start = self
            .command()
            .arg(self.program("start"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("start the web server");
        self.start = Some(start);
        eventually("both processes serve", || {
            let table = UnixStream::connect(self.run().join("table.sock")).is_ok();
            let edge = self.namespace.enter(|| TcpStream::connect(("127.0.0.1", 80)).is_ok());
            (table && edge).then_some(())
        });
    }

    /// Asks it to end, and says how it did. It has two seconds.
    pub fn stop(&mut self) -> String {
        let mut start = self.start.take().expect("it runs");
        send(start.id(), Signal::TERM);
        ending(wait(&mut start, Duration::from_secs(5)).expect("it ends when it is asked to"))
    }

    /// Waits for it to end by itself, and says how it did.
    pub fn ended(&mut self) -> String {
        let mut start = self.start.take().expect("it runs");
        ending(wait(&mut start, Duration::from_secs(10)).expect("it ends"))
    }

    /// The pid of one of its two processes, `edge` or `table`.
    pub fn process(&self, name: &str) -> u32 {
        let folder = self.folder.path().join("run").join(name);
        let wanted = format!("XDG_CONFIG_HOME={}", folder.display());
        let is_it = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "caddy" && environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes())
        };
        crate::process::processes().into_iter().find(is_it).expect("a process")
    }

    /// A folder for whatever the story needs, removed with the web server.
    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// Folder of its sockets.
    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Path of its processes' log.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Path at which a configuration lies once it is confirmed.
    pub fn confirmed(&self, kind: Kind) -> PathBuf {
        let name = kind.file();
        self.folder.path().join("config").join(name)
    }

    /// Renders a kind of configuration for the state.
    pub fn render(&self, kind: Kind) -> String {
        let mut parsed = Vec::new();
        let mut folders = vec![self.state.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let text = fs::read_to_string(entry.path()).expect("a file");
                let path = entry.path().strip_prefix(self.state.path()).expect("below").display().to_string();
                parsed.push(Parsed::parse(&path, &text));
            }
        }
        let state = State::assemble(&parsed).unwrap_or_else(|found| panic!("{found:?}"));
        render::render(kind, &state, &Templates::default(), &Identities::example([]))
            .expect("a configuration")
    }

    /// Loads what has changed, as the reconciler does, and says what that was.
    pub fn load(&self) -> Vec<Kind> {
        let changed = [Kind::Caddy, Kind::Sites].into_iter().filter(|kind| {
            let text = self.render(*kind);
            let file = self.confirmed(*kind);
            if fs::read_to_string(&file).is_ok_and(|confirmed| confirmed == text) {
                return false;
            }
            self.try_load(*kind, &text).good();
            fs::rename(file.with_extension("next"), file).expect("confirm");
            true
        });
        changed.collect()
    }

    /// Tries to load a text, and leaves it beside the confirmed one.
    pub fn try_load(&self, kind: Kind, text: &str) -> Ran {
        let next = self.confirmed(kind).with_extension("next");
        fs::write(&next, text).expect("a file");
        run(self.command().arg(self.program("load")).arg(kind.as_str()).arg(&next), LOADING)
    }

    /// Visits from `address`, by `curl`.
    pub fn visit_from(&self, address: &str, arguments: &[&str]) -> Visit {
        // Every name is here, and certificates are looked at by the stories that are about them.
        let ran = run(
            self.namespace
                .command()
                .args([
                    "curl",
                    "-sS",
                    "-k",
                    "--noproxy",
                    "*",
                    "--max-time",
                    "20",
                    "--connect-to",
                    "::127.0.0.1:",
                ])
                .args(["--interface", address, "-w", "\n%{http_code} %{http_version} %{redirect_url}"])
                .args(arguments),
            Duration::from_secs(30),
        );
        let (body, rest) = ran.stdout.rsplit_once('\n').unwrap_or_default();
        let mut words = rest.split(' ');
        Visit {
            status: words.next().and_then(|status| status.parse().ok()).unwrap_or_default(),
            version: words.next().unwrap_or_default().to_owned(),
            location: words.next().unwrap_or_default().to_owned(),
            body: body.to_owned(),
            error: ran.stderr.clone(),
        }
    }

    /// A visit from anywhere.
    pub fn visit(&self, arguments: &[&str]) -> Visit {
        self.visit_from(VISITOR, arguments)
    }

    /// Opens a connection to its port for HTTP.
    pub fn connect(&self) -> TcpStream {
        let stream = self.namespace.enter(|| TcpStream::connect(("127.0.0.1", 80)).expect("connect"));
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        stream
    }

    /// Opens a stream of events from `host` over plain HTTP.
    pub fn events(&self, host: &str) -> Events {
        let mut stream = BufReader::new(self.connect());
        write!(stream.get_mut(), "GET /ticks HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("ask for events");
        let head = head(&mut stream).expect("an answer");
        assert!(head.contains("text/event-stream"), "{head}");
        Events(stream)
    }

    /// Opens a WebSocket to `host` over plain HTTP.
    pub fn web_socket(&self, host: &str) -> WebSocket<TcpStream, TcpStream> {
        let stream = self.connect();
        WebSocket::open(stream.try_clone().expect("a stream"), stream, host)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(mut start) = self.start.take() {
            send(start.id(), Signal::TERM);
            wait(&mut start, Duration::from_secs(5));
        }
        if thread::panicking() {
            eprintln!("--- web server\n{}", fs::read_to_string(self.log()).unwrap_or_default());
        }
        self.namespace.end();
    }
}

/// Outcome of a visit.
#[derive(Debug)]
pub struct Visit {
    /// The status; 0 when there was no answer.
    pub status: u16,
    /// The version of HTTP.
    pub version: String,
    /// Address that it redirects to; empty when it doesn't.
    pub location: String,
    /// The body.
    pub body: String,
    /// Words of `curl` about a failure on the way.
    pub error: String,
}

impl Visit {
    /// Asserts the status, and that the body has `words`.
    #[track_caller]
    pub fn is(&self, status: u16, words: &str) -> &Self {
        assert!(self.status == status && self.body.contains(words), "not {status} with `{words}`: {self:#?}");
        self
    }

    /// The values of a header that the app has seen.
    pub fn seen(&self, header: &str) -> Vec<&str> {
        let headers = self.body.lines().filter_map(|line| line.split_once(": "));
        headers.filter(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| value).collect()
    }
}

/// A stream of events whose other end counts.
#[derive(Debug)]
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// The next event's number.
    #[track_caller]
    pub fn next_number(&mut self) -> u64 {
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).expect("the stream goes on");
            assert!(read > 0, "the stream has ended");
            // Between them lie the lengths of chunks, and empty lines.
            if let Some(number) = line.strip_prefix("data: ") {
                return number.trim_end().parse().expect("a number");
            }
        }
    }
}

/// A WebSocket whose other end says what it hears.
#[derive(Debug)]
pub struct WebSocket<R, W> {
    reader: BufReader<R>,
    writer: W,
}

impl<R: io::Read, W: io::Write> WebSocket<R, W> {
    /// Opens one over a connection.
    #[track_caller]
    pub fn open(reader: R, mut writer: W, host: &str) -> Self {
        write!(
            writer,
            "GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .expect("ask for a WebSocket");
        writer.flush().expect("ask for a WebSocket");
        let mut reader = BufReader::new(reader);
        let head = head(&mut reader).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { reader, writer }
    }

    /// Checks that it still echoes what it hears.
    pub fn lives(&mut self) -> bool {
        // A masked text frame; the mask is zero.
        let frame = [0x81, 0x84, 0, 0, 0, 0, b'p', b'i', b'n', b'g'];
        let mut heard = [0; 10];
        let said = self.writer.write_all(&frame).and_then(|()| self.writer.flush());
        said.and_then(|()| self.reader.read_exact(&mut heard)).is_ok() && heard == frame
    }
}

/// Reads the head of a message; `None` at the end of the connection.
pub fn head(reader: &mut impl io::BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Serves the app for as long as its namespace is there.
fn serve_app() {
    let listener = TcpListener::bind(APP).expect("the app's port");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
}

/// An app that repeats what it is asked: the head of the request, and how much came with it.
fn answer<'a, S>(stream: &'a S) -> Option<()>
where
    &'a S: io::Read + io::Write,
{
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let request = head(&mut reader)?;
        if request.to_ascii_lowercase().contains("upgrade: websocket") {
            let accept = accept(&request)?;
            write!(
                writer,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .ok()?;
            io::copy(&mut reader, &mut writer).ok()?;
            return None;
        }
        if request.starts_with("GET /events ") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(b"data: first\n\n")).ok()?;
            // Until the visitor leaves: an event that is held back would never come.
            let _ = reader.read(&mut [0]);
            return None;
        }
        if request.starts_with("GET /ticks ") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            writer.write_all(head.as_bytes()).ok()?;
            for number in 0_u64.. {
                // Whole, or its parts would be chunks of their own.
                writer.write_all(format!("data: {number}\n\n").as_bytes()).ok()?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        let length = request.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<u64>().ok())?
        });
        let body = match length {
            Some(length) => io::copy(&mut (&mut reader).take(length), &mut io::sink()).ok()?,
            None if request.to_ascii_lowercase().contains("transfer-encoding: chunked") => {
                chunks(&mut reader)?
            }
            None => 0,
        };
        let text = format!("{request}body: {body}\n");
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).ok()?;
    }
}

/// The word by which a browser knows that somebody agrees to its WebSocket.
fn accept(request: &str) -> Option<String> {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    let key = lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?.1;
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    Some(base64::engine::general_purpose::STANDARD.encode(digest))
}

/// Reads a body in chunks, and says how long it was.
fn chunks(reader: &mut impl io::BufRead) -> Option<u64> {
    let mut all = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = u64::from_str_radix(line.trim(), 16).ok()?;
        all += io::copy(&mut reader.take(length), &mut io::sink()).ok()?;
        reader.read_line(&mut line).ok()?;
        if length == 0 {
            return Some(all);
        }
    }
}
