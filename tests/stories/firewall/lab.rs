//! The user plane in namespaces of its own: real links, the gateway's real scripts, three servers, the services, and an
//! internet in which somebody is at home at every address, so that whatever leaks is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_link::{Inside, Link, Plane};
use berth_plan::Identities;
use berth_plan::render::{Kind, Templates, render};
use berth_schema::{Parsed, State};
use berth_tests::ground::scratch;
use berth_tests::process::{PATIENCE, Ran, run, send, source_tree, wait};
use berth_tests::{Place, eventually};
use rustix::process::Signal;
use tempfile::TempDir;

pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 19, 2, 1);
pub(super) const CADDY: Ipv4Addr = Ipv4Addr::new(172, 19, 2, 2);
pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 19, 2, 3);
pub(super) const CACHE: Ipv4Addr = Ipv4Addr::new(172, 19, 2, 4);
/// The plane's address on the uplink, which the internet sees.
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(172, 19, 1, 2);
/// A machine on the internet, the resolver there, and one that the settings deny.
pub(super) const WEBSITE: Ipv4Addr = Ipv4Addr::new(51, 0, 0, 80);
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(51, 0, 0, 53);
pub(super) const UNWANTED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
/// A database in the organisation's own network.
pub(super) const DATABASE: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
/// Port at which the internet counts datagrams, at every address.
pub(super) const SINK: u16 = 9999;

/// One address of each network that is always denied, and can be sent to.
pub(super) const CLOSED: [Ipv4Addr; 10] = [
    Ipv4Addr::new(10, 200, 0, 1),
    Ipv4Addr::new(100, 64, 0, 1),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(172, 19, 1, 1),
    Ipv4Addr::new(172, 31, 0, 1),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(192, 168, 1, 1),
    Ipv4Addr::new(198, 18, 0, 1),
    Ipv4Addr::new(240, 0, 0, 1),
];

pub(super) struct Lab {
    pub(super) plane: Place,
    pub(super) internet: Place,
    pub(super) caddy: Place,
    pub(super) router: Place,
    pub(super) cache: Place,
    servers: BTreeMap<u8, Place>,
    arrived: Arc<Mutex<Vec<(SocketAddrV4, String)>>>,
    folder: TempDir,
    gateway: Option<Child>,
}

/// The state of a platform with three servers, of which the second has exceptions.
pub(super) fn state(firewall: &str, allow: &str) -> State {
    let settings = format!(
        "domain = \"h.org\"\n[firewall]\ndns = [\"{RESOLVER}\"]\ndeny = [\"198.51.100.0/24\"]\n{firewall}"
    );
    let files = [
        ("platform.toml", settings),
        ("users/ann.toml", String::new()),
        ("servers/a.toml", "id = 1\nowner = \"ann\"\n".to_owned()),
        ("servers/b.toml", format!("id = 2\nowner = \"ann\"\nallow = [{allow}]\n")),
        ("servers/c.toml", "id = 3\nowner = \"ann\"\n".to_owned()),
    ];
    let files: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble(&files).expect("a good state")
}

pub(super) fn rendered(kind: Kind, state: &State) -> String {
    render(kind, state, &Templates::default(), &Identities::example([])).expect("a configuration")
}

impl Lab {
    /// All links, and a gateway that was not started yet.
    pub(super) fn new() -> Self {
        let folder = scratch();
        let (plane, mut internet) = (Place::new(), Place::new());
        let made = Plane::prepare_in(folder.path(), "lab", plane.pid(), GATEWAY).expect("a plane");
        let connect = |port: String, address: Ipv4Addr, inside: Inside| {
            let place = Place::new();
            made.connect(&Link { port, address, gateway: GATEWAY, inside }, place.namespace()).expect("a link");
            place
        };
        let mut servers: BTreeMap<u8, Place> =
            [1, 2, 3].map(|id| (id, connect(format!("s{id}"), server(id), Inside::Only))).into();
        let subnet = Inside::Besides { subnet: (Ipv4Addr::new(172, 19, 2, 0), 24) };
        let [mut caddy, router, mut cache] =
            [("caddy", CADDY), ("router", ROUTER), ("cache", CACHE)].map(|(port, address)| connect(port.to_owned(), address, subnet));
        plane.shell(&format!(
            "ip link add eth0 type veth peer name down0 netns {}
             ip address add {OUTSIDE}/24 dev eth0
             ip link set eth0 up",
            internet.pid()
        ));
        internet.shell("ip address add 172.19.1.1/24 dev down0; ip link set down0 up");
        plane.shell("ip route add default via 172.19.1.1");
        // Every address that a server may try is somebody's.
        for network in ["51.0.0.0/24", "198.51.100.0/24", "10.0.0.0/8", "100.64.0.0/10", "168.63.129.16", "169.254.0.0/16", "172.31.0.0/16", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "240.0.0.0/8"] {
            internet.shell(&format!("ip route add local {network} dev lo"));
        }
        internet.shell("ip route add 172.19.2.0/24 via 172.19.1.2");
        // Whoever would take a way through the plane that isn't theirs.
        caddy.shell(&format!("ip route add default via {GATEWAY}"));

        for port in [25, 443, 465, 587, 5432] {
            internet.listen(port);
        }
        for place in servers.values_mut() {
            for port in [22, 80, 8080] {
                place.listen(port);
            }
        }
        for port in [80, 2019] {
            caddy.listen(port);
        }
        for port in [5000, 8081] {
            cache.listen(port);
        }
        let arrived: Arc<Mutex<Vec<(SocketAddrV4, String)>>> = Arc::default();
        let seen = Arc::clone(&arrived);
        internet.answer((Ipv4Addr::UNSPECIFIED, SINK), move |from, said| {
            seen.lock().expect("the list").push((from, String::from_utf8_lossy(said).into_owned()));
            Vec::new()
        });
        internet.answer((WEBSITE, 7), |_, said| said.to_vec());
        internet.answer((RESOLVER, 53), |_, question| resolve(question));
        Self { plane, internet, caddy, router, cache, servers, arrived, folder, gateway: None }
    }

    /// The same, with these rules confirmed and loaded.
    pub(super) fn with(state: &State) -> Self {
        let mut lab = Self::new();
        for (kind, file) in [(Kind::Firewall, "rules.v4"), (Kind::Dns, "dnsmasq.conf")] {
            fs::write(lab.path(file), rendered(kind, state)).expect("a file");
        }
        lab.start();
        lab.is_loaded();
        lab
    }

    pub(super) fn server(&self, id: u8) -> &Place {
        &self.servers[&id]
    }

    /// A file in the gateway's volume.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Starts the gateway's container, so to speak.
    pub(super) fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let mut command = self.script("start");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        self.gateway = Some(command.spawn().expect("start the gateway"));
    }

    /// Waits until what was confirmed is in force.
    pub(super) fn is_loaded(&self) {
        eventually("the rules are in force", || self.forwards().then_some(()));
        let socket = self.server(1).datagrams(Ipv4Addr::UNSPECIFIED, 0);
        eventually("the resolver answers", || ask(&socket, "gateway.berth.internal"));
    }

    /// Ends the gateway as `docker stop` does.
    pub(super) fn stop(&mut self) {
        let mut gateway = self.gateway.take().expect("a gateway");
        send(gateway.id(), Signal::TERM);
        let status = wait(&mut gateway, Duration::from_secs(2)).expect("it ends within two seconds");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Loads a configuration as the reconciler does.
    #[track_caller]
    pub(super) fn load(&self, kind: Kind, text: &str) -> Ran {
        let path = self.path(&format!("{kind}.next"));
        fs::write(&path, text).expect("a file");
        run(self.script("load").arg(kind.as_str()).arg(path), PATIENCE)
    }

    pub(super) fn check(&self, kind: Kind, text: &str) -> Ran {
        let path = self.path(&format!("{kind}.next"));
        fs::write(&path, text).expect("a file");
        run(self.script("check").arg(kind.as_str()).arg(path), PATIENCE)
    }

    fn script(&self, name: &str) -> std::process::Command {
        let path = source_tree().join("templates/firewall/lib").join(name);
        let mut command = self.plane.command("sh");
        command.arg(path).env("BERTH_ETC", self.folder.path()).env("BERTH_RUN", self.path("run"));
        command
    }

    pub(super) fn forwards(&self) -> bool {
        self.plane.enter(|| fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a setting")).trim() == "1"
    }

    /// The rules in force, without their counters.
    pub(super) fn rules(&self) -> String {
        self.plane.shell("iptables-save | grep -v '^#' | sed 's/ \\[[0-9:]*\\]//'")
    }

    /// Takes the datagrams that have arrived at the sink so far, each with its sender.
    pub(super) fn arrived(&self) -> Vec<(SocketAddrV4, String)> {
        // A word through the same socket, behind everything that was sent before.
        let socket = self.internet.datagrams(Ipv4Addr::UNSPECIFIED, 0);
        socket.send_to(b"mark", (Ipv4Addr::LOCALHOST, SINK)).expect("send");
        eventually("the mark arrived", || {
            let mut arrived = self.arrived.lock().expect("the list");
            let marked = arrived.iter().position(|(_, said)| said == "mark")?;
            arrived.remove(marked);
            Some(std::mem::take(&mut *arrived))
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.gateway.is_some() {
            self.stop();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The address of a server.
pub(super) fn server(id: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 19, 2, 15 + id)
}

/// A question for a name's address (RFC 1035).
pub(super) fn question(name: &str) -> Vec<u8> {
    let mut words = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        words.push(label.len().try_into().expect("a label"));
        words.extend_from_slice(label.as_bytes());
    }
    words.extend_from_slice(&[0, 0, 1, 0, 1]);
    words
}

/// Asks the gateway for a name. `None` when it doesn't answer, else the address if it names one.
pub(super) fn ask(socket: &UdpSocket, name: &str) -> Option<Option<Ipv4Addr>> {
    socket.send_to(&question(name), (GATEWAY, 53)).ok()?;
    let mut heard = [0; 1500];
    let length = socket.recv(&mut heard).ok()?;
    let last: [u8; 4] = heard[length - 4..length].try_into().expect("four bytes");
    Some((heard[7] == 1).then(|| last.into()))
}

/// The internet's resolver: the name begins with the address that it has, as in `10-1-2-3.example`.
fn resolve(question: &[u8]) -> Vec<u8> {
    let length = usize::from(question[12]);
    let label = String::from_utf8_lossy(&question[13..13 + length]).replace('-', ".");
    let end = question[12..].iter().position(|byte| *byte == 0).expect("a name") + 12 + 5;
    let mut answer = question[..end].to_vec();
    let address: Option<Ipv4Addr> = label.parse().ok();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some(address) = address {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    answer
}
