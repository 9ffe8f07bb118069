//! The lab's internet: addresses that answer, whether they should ever be reached or not.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::ground::scratch;
use crate::namespace::Namespace;
use crate::process::{MARK, build_folder, eventually};

/// The address of the platform's machine, under which the world knows it.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(51, 0, 0, 10);
/// The other end of its line.
pub const INTERNET: Ipv4Addr = Ipv4Addr::new(51, 0, 0, 1);
/// A website.
pub const WEBSITE: Ipv4Addr = Ipv4Addr::new(52, 0, 0, 80);
/// A mail server.
pub const MAIL: Ipv4Addr = Ipv4Addr::new(52, 0, 0, 25);
/// A registry of images, over HTTP at port 5000.
pub const REGISTRY: Ipv4Addr = Ipv4Addr::new(52, 0, 0, 50);
/// The name servers, which the platform asks unless told otherwise.
pub const NAME_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(1, 1, 1, 1)];
/// A name of the website.
pub const NAME: &str = "web.lab.example.net";
/// A name whose address is private.
pub const NAME_OF_PRIVATE: &str = "private.lab.example.net";
/// Address of [`NAME_OF_PRIVATE`].
pub const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
/// Addresses that no server may reach, one of each range.
pub const DENIED: [Ipv4Addr; 7] = [
    PRIVATE,
    Ipv4Addr::new(172, 31, 9, 9),
    Ipv4Addr::new(192, 168, 9, 9),
    Ipv4Addr::new(100, 64, 9, 9),
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(192, 0, 0, 9),
    Ipv4Addr::new(198, 18, 9, 9),
];

/// Everything outside the platform's machine.
#[derive(Debug)]
pub struct Internet {
    namespace: Namespace,
    /// Visits so far, in the order of their coming.
    visits: Arc<Mutex<Vec<Visit>>>,
    programs: Vec<Child>,
    /// Folder of the programs' files.
    _folder: TempDir,
}

/// A connection that somebody outside has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Visit {
    pub from: SocketAddr,
    pub to: SocketAddr,
}

impl Internet {
    /// Lays the line to `host` and starts what answers.
    pub(super) fn start(namespace: Namespace, host: &Namespace) -> Self {
        let (here, there) = (format!("{INTERNET}/24"), format!("{PUBLIC}/24"));
        namespace.ip(&["link", "add", "down0", "type", "veth", "peer", "name", "up0", "netns", host.name()]);
        namespace.ip(&["address", "add", &here, "dev", "down0"]);
        namespace.ip(&["link", "set", "down0", "up"]);
        host.ip(&["address", "add", &there, "dev", "up0"]);
        host.ip(&["link", "set", "up0", "up"]);
        host.ip(&["route", "add", "default", "via", &INTERNET.to_string()]);
        // Answers find their way to whatever source a packet has, or a leak could pass for a refusal.
        namespace.ip(&["route", "add", "default", "via", &PUBLIC.to_string()]);
        namespace
            .shell("for f in all default down0 lo; do echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter; done")
            .good();
        for address in DENIED.iter().chain(&NAME_SERVERS).chain(&[WEBSITE, MAIL, REGISTRY]) {
            namespace.ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
        }
        // Who listens at all addresses answers datagrams as the website.
        namespace.ip(&["route", "replace", "51.0.0.0/24", "dev", "down0", "src", &WEBSITE.to_string()]);
        let visits = Arc::default();
        for (port, answer) in [(80, answer_http as Answer), (25, answer_smtp), (22, answer_nothing)] {
            let listener =
                namespace.enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a listener"));
            let visits = Arc::clone(&visits);
            std::thread::spawn(move || take_visits(&listener, answer, &visits));
        }
        let folder = scratch();
        let programs = vec![name_server(&namespace), registry(&namespace, folder.path())];
        let internet = Self { namespace, visits, programs, _folder: folder };
        for (what, to) in [("name server", (NAME_SERVERS[0], 53)), ("registry", (REGISTRY, 5000))] {
            eventually(&format!("the {what} answers"), || {
                internet.namespace.enter(|| TcpStream::connect(to).ok())
            });
        }
        internet
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Visits so far, in the order of their coming.
    pub fn visits(&self) -> Vec<Visit> {
        self.visits.lock().clone()
    }

    pub(super) fn end(&mut self) {
        for mut child in self.programs.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.namespace.end();
    }
}

type Answer = fn(TcpStream) -> std::io::Result<()>;

fn take_visits(listener: &TcpListener, answer: Answer, visits: &Mutex<Vec<Visit>>) {
    for stream in listener.incoming().flatten() {
        if let (Ok(from), Ok(to)) = (stream.peer_addr(), stream.local_addr()) {
            visits.lock().push(Visit { from, to });
        }
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
        std::thread::spawn(move || answer(stream));
    }
}

/// Says who asked whom.
fn answer_http(mut stream: TcpStream) -> std::io::Result<()> {
    let body = format!("{} asked {}\n", stream.peer_addr()?.ip(), stream.local_addr()?.ip());
    let _ = stream.read(&mut [0; 4096])?;
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn answer_smtp(mut stream: TcpStream) -> std::io::Result<()> {
    write!(stream, "220 mail.lab.example.net ESMTP\r\n")
}

fn answer_nothing(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read(&mut [0; 64]).map(|_| ())
}

fn name_server(namespace: &Namespace) -> Child {
    let mut command = namespace.command();
    command
        .args(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root"])
        .args([
            "--no-resolv",
            "--no-hosts",
            "--no-poll",
            "--bind-interfaces",
            "--cache-size=0",
            "--log-facility=-",
        ])
        .args(NAME_SERVERS.map(|address| format!("--listen-address={address}")))
        // All names are known here, as to any resolver; what isn't there is answered with "no such name".
        .arg("--local=/#/")
        .arg(format!("--host-record={NAME},{WEBSITE}"))
        .arg(format!("--host-record={NAME_OF_PRIVATE},{PRIVATE}"));
    started(&mut command)
}

fn registry(namespace: &Namespace, folder: &Path) -> Child {
    let config = folder.join("registry.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {REGISTRY}:5000\n",
        folder.join("registry").display()
    );
    fs::write(&config, text).expect("the registry's settings");
    started(namespace.command().args(["docker-registry", "serve"]).arg(&config))
}

fn started(command: &mut Command) -> Child {
    let command = command.env(MARK, build_folder());
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("start a program (scripts/install.sh test)")
}
