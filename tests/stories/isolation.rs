//! Root in a server tries every way out of it (`berth doctor --isolation`), in a closed world where whatever leaks
//! arrives somewhere, and is seen there. And where there is a hole, the doctor finds it: else its silence would mean
//! nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_tests::lab::{DENIED, MAIL, NAME, NAME_OF_PRIVATE, REGISTRY, WEBSITE};
use berth_tests::engine::USUAL;
use berth_tests::{Ceiling, Lab, Platform, Ran, World, eventually, run};
use serde_json::{Value, json};

crate::stories! { nothing_gets_out_of_a_server, contacts_nobody_outside, leaves_no_canary, holes_are_found }

/// Two minutes when nobody else needs the machine.
const EXAMINATION: Duration = Duration::from_secs(600);

/// Threats from a server, the outcome that each attempt must have, and how many attempts there are at least.
const THREATS: [(&str, &str, usize); 28] = [
    ("bridge-route", "refused", 6),
    ("machine-ports", "refused", 3),
    ("machine-ipv6", "refused", 1),
    ("published-ports", "refused", 2),
    ("panel", "refused", 2),
    ("service-as-router", "refused", 8),
    ("service-addresses", "refused", 3),
    ("service-ports", "refused", 3),
    ("east-west", "refused", 10),
    ("east-west-frames", "refused", 6),
    ("poison-server", "refused", 3),
    ("poison-caddy", "refused", 1),
    ("poison-gateway", "refused", 2),
    ("others-address", "refused", 7),
    ("foreign-source", "refused", 4),
    ("stolen-hardware", "refused", 3),
    ("router-advertisement", "refused", 1),
    ("private-networks", "refused", 4),
    ("special-networks", "refused", 6),
    ("gateway-ports", "refused", 4),
    ("arp-flood", "limited", 1),
    ("name-flood", "limited", 1),
    ("rebinding", "refused", 1),
    ("connection-flood", "limited", 2),
    ("neighbour-flood", "limited", 1),
    ("unlinked", "refused", 1),
    ("names", "refused", 2),
    ("others-share", "limited", 13),
];

/// Attempts on what all servers share in the way in which the lab's engine keeps them apart, with the kernel's own settings.
const SHARED: [&str; 4] = ["descriptors under way (100 each)", "pipes", "epoll watches", "pseudo terminals"];

/// Connections and answers that must work all the same.
const ALLOWED: [&str; 9] = [
    "Caddy to a server, HTTP",
    "SSH router to a server, SSH",
    "server to the image cache",
    "server to the gateway's resolver",
    "server pings the gateway",
    "server to the platform's sites, by the public address",
    "server to the internet, TCP",
    "server to the internet, UDP",
    "server asks for a name of the internet",
];

fn nothing_gets_out_of_a_server(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |_| {});
    platform.apply();
    platform.settled();
    let _watches = Ceiling::at("fs/epoll/max_user_watches", "200000");
    let _pages = Ceiling::at("fs/pipe-user-pages-soft", "16384");

    let ran = examined(lab, &platform, &[]);
    let rows = Rows::of(&ran);
    for (threat, expected, least) in THREATS {
        let of_it = rows.where_is("threat", threat);
        assert!(of_it.len() >= least, "{threat} has {} attempts: {ran}", of_it.len());
        // In the lab everything can be tried.
        let is_shared = |row: &Value| SHARED.iter().any(|name| row["attempt"] == *name);
        let as_it_must = |row: &Value| row["result"] == if is_shared(row) { "shared" } else { expected };
        let others: Vec<_> = of_it.iter().filter(|row| !as_it_must(row)).collect();
        assert!(others.is_empty(), "{threat}: {others:#?}");
    }
    for name in ALLOWED {
        assert_eq!(rows.result(&format!("allowed: {name}")), "works", "{name}: {ran}");
    }
    // No row is beside these.
    let threats: usize = THREATS.iter().map(|(threat, ..)| rows.where_is("threat", threat).len()).sum();
    assert_eq!(threats + ALLOWED.len(), rows.0.len(), "{ran}");
    ran.coded(0);

    // The canaries are gone, and the platform is what it was.
    assert!(platform.containers().keys().all(|name| !name.contains("canary")));
    platform.settled();
}

fn contacts_nobody_outside(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |_| {});
    platform.apply();
    let internet = lab.internet().namespace();
    // Whatever begins something with somebody up the line, but for what the image cache has with its registry. Answers
    // that an earlier story's floods still wait for go on for a minute.
    for begins in ["-p tcp --syn", "! -p tcp"] {
        internet.shell(&format!("iptables -t raw -A PREROUTING -i down0 ! -d {REGISTRY} {begins}")).good();
    }
    let ran = run(&mut platform.berth_command(&["doctor", "--isolation"]), EXAMINATION);
    let counted = internet.shell("iptables -t raw -nvxL PREROUTING; iptables -t raw -F PREROUTING").good().stdout;
    eprintln!("{ran}");
    let packets: Vec<_> = counted.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(packets, ["0", "0"], "{counted}");
    // What it could not try is told and counted.
    let ran = ran.coded(0).says("would contact somebody outside the platform").says(" not tried here");
    assert!(!ran.words().contains("GOT THROUGH"));
}

fn leaves_no_canary(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |_| {});
    platform.apply();
    let canaries = || {
        let all = platform.containers();
        all.into_iter().filter(|(name, _)| name.contains("-canary-")).collect::<BTreeMap<_, _>>()
    };
    let begun = || {
        let doctor = platform.stays(&mut platform.berth_command(&["doctor", "--isolation"]));
        let both = eventually("there are the canaries", || Some(canaries()).filter(|found| found.len() == 3));
        (doctor, both)
    };
    // Whoever interrupts it gets an answer, and a tidy platform.
    let (mut doctor, _) = begun();
    doctor.ask_to_end();
    assert_eq!(doctor.ended().code(), Some(1), "{}", doctor.log());
    doctor.says("interrupted");
    assert_eq!(canaries(), BTreeMap::new());

    // One that was killed leaves them; a pass leaves them alone, and the next doctor removes them.
    let (doctor, left) = begun();
    doctor.kill();
    platform.settled();
    assert_eq!(canaries().len(), left.len());
    platform.berth(&["doctor", "--isolation", "--only", "names:"]).coded(0).says("3 attempts: 2 refused, 1 not tried here");
    assert_eq!(canaries(), BTreeMap::new());
    platform.settled();
}

fn holes_are_found(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |_| {});
    platform.apply();

    // Everything open: the gateway filters nothing, the machine filters nothing, and sources are not looked at.
    let plane = plane(&platform);
    let open = "for t in filter raw mangle; do iptables -t $t -F; done; \
                for c in INPUT FORWARD OUTPUT; do iptables -P $c ACCEPT; ip6tables -P $c ACCEPT; done; \
                for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done";
    in_network_of(plane, open).good();
    // It asks who has an address, and believes whoever says so. A link is made anew in between, without ARP.
    let asks = format!(
        "ip link add far type bridge && ip link set far up && ip route add {} dev far",
        users(&platform)
    );
    in_network_of(plane, &asks).good();
    let believes = "while :; do ip link set sc14 arp on && echo 1 > /proc/sys/net/ipv4/conf/sc14/arp_accept; \
                    sleep 0.1; done 2>/dev/null";
    let machine = OpenMachine::new(lab);
    let mut believing = Wiring::start(plane, believes);
    let ran = examined(lab, &platform, &[]);
    believing.end();
    drop(machine);
    let rows = Rows::of(&ran);
    for expected in [
        "internet: 10/8",
        "internet: 169.254.169.254 (the cloud's metadata)",
        "internet: mail, port 25",
        "internet: mail, port 25, in fragments",
        "machine: 51.0.0.10 (up0): SSH, engine, any port",
        "machine: one-way UDP to the bridge through the gateway",
        "gateway: its address on the servers' side: other ports",
        "gateway: its address on the uplink: all ports",
        "services: Caddy: its own ports",
        "services: the image cache: its own ports",
        "neighbour: HTTP",
        "neighbour: UDP",
        "neighbour: ping",
        "neighbour: UDP in fragments",
        "neighbour: protocols that nobody uses (GRE, SCTP, ESP, 253)",
        "identity: the neighbour's address",
        "identity: an address of the internet",
        "identity: the neighbour's address, given to one's own link",
        "machine: a panel's published port, at each address",
        "machine: the platform's published ports, at private addresses",
        "control: external: its ports",
        "services: Caddy: its other addresses, by its link and the gateway",
        "floods: 5,000 questions to the resolver",
        "floods: 20,000 claims about addresses (ARP)",
        "floods: packets for every server that there might be (neighbour table)",
        "floods: 40,000 connections to the internet at once",
        "floods: 40,000 connections to the internet in others' names",
    ] {
        assert_eq!(rows.result(expected), "through", "{expected}: {ran}");
    }
    let through = rows.where_is("result", "through").len();
    assert!(through >= 40, "with every rule gone, {through} of {} get through: {ran}", rows.0.len());
    ran.coded(2);

    // One account for both canaries, which the engine's settings don't say.
    let rows = {
        let _switched = Switched::to(lab, "--shared-account");
        Rows::of(&examined(lab, &platform, &["--only", "timers"]).coded(2))
    };
    assert_eq!(rows.result("shares: timers"), "through", "{rows}");
    // With ids of its own each has even what may be shared.
    let rows = {
        let _switched = Switched::to(lab, "--own-ranges");
        Rows::of(&examined(lab, &platform, &["--only", "descriptors"]).coded(0))
    };
    assert_eq!(rows.result("shares: descriptors under way (100 each)"), "limited", "{rows}");
    let rows = Rows::of(&examined(lab, &platform, &["--only", "timers"]).coded(0));
    assert_eq!(rows.result("shares: timers"), "limited", "{rows}");

    // A shared wire: the canaries' ports on a bridge, as soon as they are there.
    let rows = on_a_wire(lab, &platform, ["sc14", "sc15"], "a shared wire");
    for expected in [
        "wire: frames of an unknown protocol (0x88b5)",
        "wire: frames of IEEE 802.2 (LLC)",
        "wire: a VLAN's frames",
        "wire: a provider's VLAN's frames (QinQ)",
        "wire: a question for a neighbour (ARP)",
        "wire: a router for everybody (IPv6 router advertisement)",
        "wire: the neighbour's hardware address",
    ] {
        assert_eq!(rows.result(expected), "through", "{expected}: {rows}");
    }

    // The same with the uplink: the gateway's next hop is the attacker's too.
    let rows = on_a_wire(lab, &platform, ["sc14", "eth0"], "past the gateway");
    for expected in [
        "machine: the uplink's bridge as the default route: the internet",
        "machine: the uplink's bridge as the default route: a denied address",
        "machine: one-way UDP to the bridge's hardware address",
    ] {
        assert_eq!(rows.result(expected), "through", "{expected}: {rows}");
    }
}

/// Looks of the doctor at a hole that is made while it begins.
const LOOKS: u32 = 3;

/// Findings of the doctor about `words` while two of the plane's interfaces are on one wire.
fn on_a_wire(lab: &Lab, platform: &Platform, interfaces: [&str; 2], words: &str) -> Rows {
    let [one, other] = interfaces;
    let script = format!(
        "ip link add wire-{other} type bridge 2>/dev/null; ip link set wire-{other} up && \
         for p in {one} {other}; do until ip link set $p master wire-{other} 2>/dev/null; do sleep 0.02; done; done"
    );
    let look = || {
        let mut wiring = Wiring::start(plane(platform), &script);
        let ran = examined(lab, platform, &["--only", words]);
        wiring.end();
        ran
    };
    // On a busy machine the wire may be laid when everything was tried already. A hole that is there in time must be found.
    let mut ran = look();
    for _ in 1..LOOKS {
        if !ran.is_good() {
            break;
        }
        ran = look();
    }
    Rows::of(&ran.coded(2))
}

/// The machine while it filters nothing. The lab is shared: it is closed again whatever happens.
struct OpenMachine<'a>(&'a Lab);

impl<'a> OpenMachine<'a> {
    fn new(lab: &'a Lab) -> Self {
        let open = Self(lab);
        open.each("-I");
        open
    }

    fn each(&self, act: &str) {
        let rules = format!("for c in INPUT FORWARD DOCKER-USER; do iptables {act} $c -j ACCEPT; done");
        self.0.host().shell(&rules);
    }
}

impl Drop for OpenMachine<'_> {
    fn drop(&mut self) {
        self.each("-D");
    }
}

/// The lab's engine while it starts servers in another way, behind the platform's back. It is shared, too.
struct Switched<'a>(&'a Lab);

impl<'a> Switched<'a> {
    fn to(lab: &'a Lab, argument: &str) -> Self {
        lab.engine().switch(USUAL, argument);
        Self(lab)
    }
}

impl Drop for Switched<'_> {
    fn drop(&mut self) {
        self.0.engine().switch(USUAL, "");
    }
}

/// The rows of the doctor's report.
struct Rows(Vec<Value>);

impl std::fmt::Display for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl Rows {
    fn of(ran: &Ran) -> Self {
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
        Self(report["rows"].as_array().expect("rows").clone())
    }

    fn where_is(&self, key: &str, value: &str) -> Vec<&Value> {
        self.0.iter().filter(|row| row[key] == value).collect()
    }

    fn result(&self, name: &str) -> String {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let by_name: BTreeMap<String, String> = self
            .0
            .iter()
            .map(|row| (format!("{}: {}", text(row, "group"), text(row, "attempt")), text(row, "result")))
            .collect();
        by_name.get(name).cloned().unwrap_or_else(|| panic!("no row {name} in {:#?}", by_name.keys()))
    }
}

/// Runs the doctor with the lab's internet.
fn examined(lab: &Lab, platform: &Platform, more: &[&str]) -> Ran {
    let outside = platform.home().join("outside.json");
    let description = json!({
        "namespace": lab.internet().namespace().path(),
        "website": WEBSITE,
        "mail": MAIL,
        "name": NAME,
        "name_of_private": NAME_OF_PRIVATE,
        "denied": DENIED,
    });
    fs::write(&outside, description.to_string()).expect("the lab's description");
    let path = outside.to_string_lossy().into_owned();
    let arguments = [&["doctor", "--isolation", "--json", "--outside", &path], more].concat();
    run(&mut platform.berth_command(&arguments), EXAMINATION)
}

/// The servers' network.
fn users(platform: &Platform) -> String {
    let settings = platform.state.read("platform.toml");
    let line = settings.lines().find_map(|line| line.strip_prefix("users = "));
    line.expect("the servers' network").trim_matches('"').to_owned()
}

/// A process in the plane.
fn plane(platform: &Platform) -> u32 {
    platform.docker().container(&format!("{}-filtered-users", platform.prefix)).pid
}

fn in_network_of(pid: u32, script: &str) -> Ran {
    run(nsenter(pid).args(["sh", "-c", script]), Duration::from_secs(20))
}

fn nsenter(pid: u32) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net"));
    command
}

/// Somebody who waits for links and ties them together.
struct Wiring(Child);

impl Wiring {
    fn start(pid: u32, script: &str) -> Self {
        let mut command = nsenter(pid);
        command.args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().expect("nsenter"))
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Wiring {
    fn drop(&mut self) {
        self.end();
    }
}
