//! Events at the firewall while rules change, when they are bad, and when the gateway starts anew.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use berth_plan::render::{Kind, host};
use berth_tests::process::{PATIENCE, run};
use berth_tests::{Answer, Place, World, eventually};

use super::lab::{DATABASE, Lab, OUTSIDE, SINK, WEBSITE, rendered, server, state};

const EXCEPTION: &str = "\"10.1.2.3/32:5432/tcp\"";

/// A server that sends without a pause: datagrams that are echoed, and others that must not get anywhere.
#[derive(Debug, Default, Clone, Copy)]
struct Traffic {
    sent: u32,
    lost: u32,
}

/// Ends the traffic, also when the story fails meanwhile.
pub(super) struct Ended<'a>(pub(super) &'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Traffic that goes on, by the number of datagrams that were sent so far.
struct Sent<'a>(&'a AtomicU32);

impl Sent<'_> {
    /// Waits until so many more have been sent.
    #[track_caller]
    fn more(&self, number: u32) {
        let goal = self.0.load(Ordering::Relaxed) + number;
        eventually("the traffic goes on", || (self.0.load(Ordering::Relaxed) >= goal).then_some(()));
    }
}

/// Does something while a server's traffic goes on, and tells what became of the traffic.
fn under_traffic(lab: &Lab, act: impl FnOnce(Sent<'_>)) -> Traffic {
    let sent = AtomicU32::new(0);
    let server = lab.server(1);
    let (echoed, forbidden) = (server.datagrams(Ipv4Addr::UNSPECIFIED, 0), server.datagrams(Ipv4Addr::UNSPECIFIED, 0));
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut traffic = Traffic::default();
            let mut heard = [0; 16];
            while !ended.load(Ordering::Relaxed) {
                let number = traffic.sent.to_be_bytes();
                traffic.sent += 1;
                sent.store(traffic.sent, Ordering::Relaxed);
                let came = echoed.send_to(&number, (WEBSITE, 7)).is_ok()
                    // What came too late for an earlier one isn't the answer to this.
                    && std::iter::from_fn(|| echoed.recv(&mut heard).ok().map(|_| heard[..4] == number)).any(|is_it| is_it);
                traffic.lost += u32::from(!came);
                for address in [DATABASE, super::server(3)] {
                    let _ = forbidden.send_to(b"leak", (address, SINK));
                }
                thread::sleep(Duration::from_micros(300));
            }
            traffic
        });
        {
            let _ended = Ended(&ended);
            act(Sent(&sent));
        }
        traffic.join().expect("the traffic")
    })
}

pub(super) fn changes_without_a_gap(_: &World) {
    let (with, without) = (state("", EXCEPTION), state("", ""));
    let mut lab = Lab::with(&without);
    let mut stream = lab.server(1).stream(WEBSITE, 443).expect("a connection");
    stream.read_exact(&mut [0; 4]).expect("its greeting");
    let files = [("with", &with), ("without", &without)].map(|(name, state)| {
        let path = lab.path(name);
        fs::write(&path, rendered(Kind::Firewall, state)).expect("a file");
        path
    });
    let traffic = under_traffic(&lab, |sent| {
        sent.more(1);
        for number in 0..200 {
            let mut command = lab.plane.command("iptables-restore");
            run(command.arg(&files[number % 2]), PATIENCE).good();
        }
        // The whole of what the reconciler calls.
        for state in [&with, &without, &without] {
            lab.load(Kind::Firewall, &rendered(Kind::Firewall, state)).good();
            sent.more(1);
        }
    });
    assert_eq!((traffic.lost, lab.arrived()), (0, vec![]), "of {}", traffic.sent);

    // A restart of the gateway's container touches nothing that is in force.
    let rules = lab.rules();
    lab.stop();
    assert_eq!(lab.rules(), rules);
    let traffic = under_traffic(&lab, |sent| sent.more(100));
    assert_eq!((traffic.lost, lab.arrived()), (0, vec![]));
    lab.start();
    let traffic = under_traffic(&lab, |_| lab.is_loaded());
    assert_eq!((traffic.lost, lab.arrived()), (0, vec![]));
    assert_eq!(lab.rules(), rules);
    stream.write_all(b"still there").expect("write");
    stream.read_exact(&mut [0; 11]).expect("its echo");
}

pub(super) fn withdraws_an_exception(_: &World) {
    let lab = Lab::with(&state("", &format!("{EXCEPTION}, \"10.1.2.3/32:7000/udp\"")));
    let (here, there) = (lab.server(2).datagrams(Ipv4Addr::UNSPECIFIED, 0), lab.internet.datagrams(DATABASE, 7000));
    here.send_to(b"there", (DATABASE, 7000)).expect("send");
    let (_, from) = there.recv_from(&mut [0; 8]).expect("a datagram");
    there.send_to(b"back", from).expect("send");
    here.recv(&mut [0; 8]).expect("its answer");
    let mut stream = lab.server(2).stream(DATABASE, 5432).expect("a connection");
    stream.read_exact(&mut [0; 4]).expect("its greeting");
    stream.write_all(b"one").expect("write");
    stream.read_exact(&mut [0; 3]).expect("its echo");
    lab.load(Kind::Firewall, &rendered(Kind::Firewall, &state("", ""))).good();
    // The flows that were open are over too, each direction by itself.
    let _ = here.send_to(b"there", (DATABASE, 7000));
    there.recv_from(&mut [0; 8]).expect_err("nothing comes");
    let _ = there.send_to(b"back", from);
    // The first error is the firewall's refusal of what was sent.
    while let Err(error) = here.recv(&mut [0; 8]) {
        if error.kind() == std::io::ErrorKind::WouldBlock {
            break;
        }
    }
    there.send_to(b"back", from).expect("send");
    here.recv(&mut [0; 8]).expect_err("nothing comes");
    let _ = stream.write_all(b"two");
    assert!(stream.read_exact(&mut [0; 3]).is_err());
    assert_eq!(lab.server(2).connect(DATABASE, 5432), Answer::Refused);
}

pub(super) fn refuses_bad_rules(_: &World) {
    let good = rendered(Kind::Firewall, &state("", ""));
    let lab = Lab::with(&state("", ""));
    let before = lab.rules();
    let bad = [
        ("nothing", String::new(), "no table `filter`"),
        ("a part", good[..good.len() / 2].to_owned(), "no table `filter`"),
        ("open", good.replace(":FORWARD DROP", ":FORWARD ACCEPT"), "no policy DROP of `FORWARD`"),
        ("an unknown option", good.replace("--dport 25", "--sports 25"), "line"),
        ("an unknown match", good.replace("-m rpfilter", "-m reverse"), "reverse"),
        ("an unknown chain", good.replace("-g EGRESS", "-g EGRES"), "EGRES"),
        ("a circle", good.replace("-A DENIED -g REFUSED", "-A DENIED -g EGRESS"), "not in force"),
    ];
    let traffic = under_traffic(&lab, |_| {
        for (what, text, words) in &bad {
            let ran = lab.load(Kind::Firewall, text).says(words);
            assert!(!ran.is_good(), "{what}: {ran}");
            // Only the kernel sees a circle, and only in chains that packets come through.
            assert!(!lab.check(Kind::Firewall, text).is_good() || *what == "a circle", "{what}");
            assert_eq!(lab.rules(), before, "{what}");
        }
    });
    assert_eq!((traffic.lost, lab.arrived()), (0, vec![]));
    lab.check(Kind::Firewall, &good).good();
    assert_eq!(lab.rules(), before);
}

pub(super) fn begins_closed(_: &World) {
    let good = rendered(Kind::Firewall, &state("", ""));
    // Nothing was confirmed yet.
    let mut lab = Lab::new();
    lab.start();
    eventually("it waits", || lab.log().contains("waiting for the first").then_some(()));
    assert!(!lab.forwards());
    assert_eq!(lab.server(1).connect(WEBSITE, 443), Answer::Silent);
    lab.plane.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    assert_eq!(lab.server(1).connect(WEBSITE, 443), Answer::Silent, "the rules alone are closed too");
    assert_eq!(lab.server(1).connect(server(2), 80), Answer::Silent);
    lab.load(Kind::Firewall, &good).good();
    assert_eq!(lab.server(1).connect(WEBSITE, 443), Answer::Open(OUTSIDE));
    lab.stop();

    // What was confirmed is bad: closed, though good rules were in force.
    fs::write(lab.path("rules.v4"), "*filter\nCOMMIT\n").expect("a file");
    fs::write(lab.path("log"), "").expect("a log");
    lab.start();
    eventually("it waits", || lab.log().contains("waiting for better ones").then_some(()));
    assert!(!lab.forwards());
    assert_eq!(lab.server(1).connect(WEBSITE, 443), Answer::Silent);
    drop(lab);

    // While it starts, a server sends all the time: the first packet that gets out is one that the rules have seen.
    let mut lab = Lab::new();
    fs::write(lab.path("rules.v4"), good).expect("a file");
    let socket = lab.server(1).datagrams(Ipv4Addr::UNSPECIFIED, 0);
    let (ended, mut arrived) = (AtomicBool::new(false), Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                for address in [WEBSITE, DATABASE] {
                    let _ = socket.send_to(address.to_string().as_bytes(), (address, SINK));
                }
                thread::sleep(Duration::from_micros(200));
            }
        });
        let _ended = Ended(&ended);
        lab.start();
        eventually("it forwards", || lab.forwards().then_some(()));
        arrived = eventually("something gets out", || Some(lab.arrived()).filter(|arrived| !arrived.is_empty()));
    });
    arrived.extend(lab.arrived());
    assert!(arrived.iter().all(|(from, said)| *from.ip() == OUTSIDE && *said == WEBSITE.to_string()), "{arrived:?}");
}

/// The platform's chains on a host of its own: `br-hosting` is the uplink's bridge, and somebody is behind it.
pub(super) fn the_host_keeps_its_part(_: &World) {
    let state = state("", EXCEPTION);
    let (mut machine, plane, mut internet) = (Place::new(), Place::new(), Place::new());
    machine.shell(&format!(
        "ip link add br-hosting type veth peer name eth0 netns {}; ip link add up0 type veth peer name eth0 netns {}
         ip address add 172.19.1.1/24 dev br-hosting; ip link set br-hosting up
         ip address add 192.0.2.1/24 dev up0; ip link set up0 up
         ip route add default via 192.0.2.2; echo 1 > /proc/sys/net/ipv4/ip_forward
         iptables -A FORWARD -j ACCEPT",
        plane.pid(),
        internet.pid()
    ));
    plane.shell("ip address add 172.19.1.2/24 dev eth0; ip link set eth0 up; ip route add default via 172.19.1.1");
    internet.shell("ip address add 192.0.2.2/24 dev eth0; ip link set eth0 up; ip route add 172.19.1.0/24 via 192.0.2.1");
    internet.shell("ip route add local 51.0.0.0/24 dev lo; ip route add local 10.0.0.0/8 dev lo");
    let published = host::published(&state);
    for port in [&[22], &published[..]].concat() {
        machine.listen(port);
    }
    for port in [443, 5432] {
        internet.listen(port);
    }
    let reach = || {
        let machine = Ipv4Addr::new(172, 19, 1, 1);
        [(machine, 22), (machine, published[0]), (machine, published[2]), (WEBSITE, 443), (DATABASE, 443), (DATABASE, 5432)]
            .map(|(address, port)| matches!(plane.connect(address, port), Answer::Open(_)))
    };
    assert_eq!(reach(), [true; 6]);
    let others = machine.shell("iptables-save | grep -v '^#' | sed 's/ \\[[0-9:]*\\]//'");
    let prefix = &state.platform.prefix;
    let file = berth_tests::ground::scratch();
    let restore = |text: &str| {
        let path = file.path().join("host.v4");
        fs::write(&path, text).expect("a file");
        run(machine.command("iptables-restore").arg("--noflush").arg(path), PATIENCE).good();
    };
    let iptables = |words: &[&str], jump: &host::Jump| {
        run(machine.command("iptables").args(words).args(&jump.rule), PATIENCE).is_good()
    };
    // Twice: the second time changes nothing.
    for _ in 0..2 {
        restore(&rendered(Kind::Host, &state));
        for jump in host::jumps(prefix) {
            let from = *jump.from.last().expect("a chain");
            assert!(iptables(&["-w", "-C", from], &jump) || iptables(&["-w", "-I", from, "1"], &jump));
        }
    }
    assert_eq!(machine.shell("iptables -S | grep -c -e '-j berth-'").trim(), "2");
    assert_eq!(reach(), [false, true, true, true, false, true]);
    for jump in host::jumps(prefix) {
        let from = *jump.from.last().expect("a chain");
        while iptables(&["-w", "-D", from], &jump) {}
    }
    restore(&host::removal(prefix));
    assert_eq!(machine.shell("iptables-save | grep -v '^#' | sed 's/ \\[[0-9:]*\\]//'"), others);
}
