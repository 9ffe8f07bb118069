//! The user plane's firewall, with real packets: what `docs/network.md` says about who reaches whom is true, limits hold,
//! nobody sends in another's name, and no change opens a gap.

mod changes;
mod lab;

use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use berth_plan::render::Kind;
use berth_tests::process::{PATIENCE, send, source_tree, within};
use berth_tests::{Answer, World, eventually};
use rustix::process::Signal;

use changes::{Ended, begins_closed, changes_without_a_gap, refuses_bad_rules, the_host_keeps_its_part, withdraws_an_exception};
use lab::{
    CACHE, CADDY, CLOSED, DATABASE, GATEWAY, Lab, OUTSIDE, ROUTER, SINK, UNWANTED, WEBSITE, ask, rendered, server,
    state,
};

crate::stories! {
    changes_without_a_gap, lets_through_what_the_page_says, takes_no_foreign_sender, answers_names, keeps_answering, keeps_limits,
    begins_closed, withdraws_an_exception, refuses_bad_rules, the_host_keeps_its_part,
}

const ALLOW: &str = "\"10.1.2.3/32:5432/tcp\", \"51.0.0.25/32:25\"";

fn lets_through_what_the_page_says(_: &World) {
    let lab = Lab::with(&state("", ALLOW));
    let page = fs::read_to_string(source_tree().join("docs/network.md")).expect("the page");
    let (_, table) = page.split_once("| from | to | |\n| --- | --- | --- |\n").expect("the page's table");
    let rows: Vec<[&str; 3]> = table
        .lines()
        .map_while(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
            cells.try_into().ok()
        })
        .collect();
    let mut wrong = Vec::new();
    for [from, to, says] in &rows {
        let found = tried(&lab, from, to);
        if found.iter().any(|found| found != says) {
            wrong.push(format!("{from} | {to}: the page says {says}, and it is {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows.len(), 21, "rows of the page");

    // Fragments are judged as the whole that they are.
    let one = lab.server(1).datagrams(Ipv4Addr::UNSPECIFIED, 0);
    one.send_to(&[b'x'; 5000], (DATABASE, SINK)).expect("send");
    one.send_to(&[b'y'; 5000], (WEBSITE, SINK)).expect("send");
    let arrived = lab.arrived();
    assert_eq!(arrived.len(), 1);
    assert!(arrived[0].1.starts_with('y') && arrived[0].1.len() == 5000);
    assert_eq!(*arrived[0].0.ip(), OUTSIDE);
}

/// Tries a row of the table, and returns the outcome in the page's words, once for each thing that the row is about.
fn tried(lab: &Lab, from: &str, to: &str) -> Vec<&'static str> {
    let (one, two) = (lab.server(1), lab.server(2));
    let words = |answers: Vec<Answer>| -> Vec<&'static str> {
        answers
            .into_iter()
            .map(|answer| match answer {
                Answer::Open(_) => "open",
                Answer::Refused => "refused",
                Answer::Silent => "nothing",
                Answer::Closed => "closed",
            })
            .collect()
    };
    let pinged = |address: Ipv4Addr| {
        let ran = one.attempt(&format!("busybox ping -c 1 -W 1 {address}"));
        if ran.is_good() { vec!["open"] } else { vec!["nothing"] }
    };
    match (from, to) {
        ("a server", "the internet, TCP and UDP") => {
            let tcp = one.connect(WEBSITE, 443);
            assert_eq!(tcp, Answer::Open(OUTSIDE), "from the platform's address");
            one.datagrams(Ipv4Addr::UNSPECIFIED, 0).send_to(b"udp", (WEBSITE, SINK)).expect("send");
            let arrived = lab.arrived();
            assert_eq!(arrived.len(), 1);
            assert_eq!(*arrived[0].0.ip(), OUTSIDE);
            words(vec![tcp])
        }
        ("a server", "the internet, ping") => pinged(WEBSITE),
        ("a server", "the internet, port 25 (SMTP)") => words(vec![one.connect(WEBSITE, 25)]),
        ("a server", "the internet, ports 465 and 587") => words(vec![one.connect(WEBSITE, 465), one.connect(WEBSITE, 587)]),
        ("a server", "private and special networks (below)") => {
            let socket = one.datagrams(Ipv4Addr::UNSPECIFIED, 0);
            for address in CLOSED {
                let _ = socket.send_to(b"leak", (address, SINK));
            }
            assert_eq!(lab.arrived(), []);
            words(CLOSED.map(|address| one.connect(address, 443)).into())
        }
        ("a server", "networks of `firewall.deny`") => words(vec![one.connect(UNWANTED, 443)]),
        ("a server", "its own exceptions (`allow`)") => {
            words(vec![two.connect(DATABASE, 5432), two.connect(Ipv4Addr::new(51, 0, 0, 25), 25)])
        }
        ("a server", "beside its exceptions, and another's") => words(vec![
            two.connect(DATABASE, 443),
            two.connect(Ipv4Addr::new(10, 1, 2, 4), 5432),
            two.connect(WEBSITE, 25),
            one.connect(DATABASE, 5432),
            one.connect(Ipv4Addr::new(51, 0, 0, 25), 25),
        ]),
        ("a server", "another server") => words([22, 80, 8080].map(|port| one.connect(server(2), port)).into()),
        ("a server", "the gateway, DNS") => {
            let socket = one.datagrams(Ipv4Addr::UNSPECIFIED, 0);
            assert_eq!(ask(&socket, "gateway.berth.internal"), Some(Some(GATEWAY)));
            // No greeting, but it opened.
            vec![if one.stream(GATEWAY, 53).is_ok() { "open" } else { "nothing" }]
        }
        ("a server", "the gateway, ping") => pinged(GATEWAY),
        ("a server", "the gateway, anything else") => {
            words([(GATEWAY, 22), (GATEWAY, 5000), (OUTSIDE, 53)].map(|(address, port)| one.connect(address, port)).into())
        }
        ("a server", "the image cache, port 5000") => {
            let answer = one.connect(CACHE, 5000);
            assert_eq!(answer, Answer::Open(server(1)), "from its own address");
            words(vec![answer])
        }
        ("a server", "the image cache, other ports") => words(vec![one.connect(CACHE, 8081)]),
        ("a server", "Caddy, the SSH router") => {
            words(vec![one.connect(CADDY, 80), one.connect(CADDY, 2019), one.connect(ROUTER, 22)])
        }
        ("Caddy", "a server, TCP") => {
            let answer = lab.caddy.connect(server(1), 8080);
            assert_eq!(answer, Answer::Open(CADDY), "from its own address");
            words(vec![answer, lab.caddy.connect(server(2), 80)])
        }
        ("Caddy", "anything else through the plane") => words(vec![
            lab.caddy.connect(WEBSITE, 443),
            lab.caddy.connect(DATABASE, 5432),
            lab.caddy.connect(CACHE, 5000),
            lab.caddy.connect(GATEWAY, 53),
        ]),
        ("the SSH router", "a server, port 22") => words(vec![lab.router.connect(server(1), 22)]),
        ("the SSH router", "anything else through the plane") => {
            words(vec![lab.router.connect(server(1), 80), lab.router.connect(CADDY, 80), lab.router.connect(CACHE, 5000)])
        }
        ("the image cache", "anything through the plane") => {
            words(vec![lab.cache.connect(server(1), 22), lab.cache.connect(server(1), 80), lab.cache.connect(CADDY, 80)])
        }
        ("the internet", "a server, the gateway") => {
            words(vec![lab.internet.connect(server(1), 80), lab.internet.connect(OUTSIDE, 53), lab.internet.connect(GATEWAY, 53)])
        }
        _ => panic!("nobody tries `{from}`, `{to}`"),
    }
}

fn takes_no_foreign_sender(_: &World) {
    let lab = Lab::with(&state("", ALLOW));
    let one = lab.server(1);
    // A neighbour, the neighbour who has the exception, each service, the gateway, and somebody on the internet.
    for address in [server(2), server(3), CADDY, ROUTER, CACHE, GATEWAY, OUTSIDE, WEBSITE, Ipv4Addr::new(8, 8, 4, 4)] {
        one.shell(&format!("ip address add {address}/32 dev lo"));
        let socket = one.datagrams(address, 0);
        for to in [WEBSITE, DATABASE, server(3), GATEWAY] {
            let _ = socket.send_to(address.to_string().as_bytes(), (to, SINK));
        }
        one.shell(&format!("ip address del {address}/32 dev lo"));
    }
    assert_eq!(lab.arrived(), []);
    // Both guards drop: with the kernel's own check off, the rules still do.
    lab.plane.shell("for each in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $each; done");
    one.shell(&format!("ip address add {}/32 dev lo", server(2)));
    let spoof = one.datagrams(server(2), 0);
    spoof.send_to(b"spoof", (WEBSITE, SINK)).expect("send");
    assert_eq!(lab.arrived(), []);
    let dropped = lab.plane.shell("iptables -t raw -nvxL PREROUTING | awk '/rpfilter/ { print $1 }'");
    assert_ne!(dropped.trim(), "0");
    // The internet doesn't send in a server's name either.
    lab.internet.shell(&format!("ip address add {}/32 dev lo", server(3)));
    let spoof = lab.internet.datagrams(server(3), 0);
    let _ = spoof.send_to(&lab::question("gateway.berth.internal"), (OUTSIDE, 53));
    let _ = spoof.send_to(b"spoof", (server(1), 80));
    assert!(spoof.recv(&mut [0; 64]).is_err());
}

fn answers_names(_: &World) {
    let lab = Lab::with(&state("", ALLOW));
    let socket = lab.server(1).datagrams(Ipv4Addr::UNSPECIFIED, 0);
    let ask = |name: &str| ask(&socket, name).unwrap_or_else(|| panic!("no answer for {name}"));
    assert_eq!(ask("gateway.berth.internal"), Some(GATEWAY));
    assert_eq!(ask("51-0-0-80.example"), Some(WEBSITE));
    // A name from outside never leads inside.
    for name in ["10-1-2-3.example", "172-19-2-17.example", "127-0-0-1.example", "169-254-169-254.example", "192-168-1-1.example"] {
        assert_eq!(ask(name), None, "{name}");
    }
    // Never asked outside, where they would be answered.
    for name in ["51-0-0-80", "51-0-0-80.internal", "51-0-0-80.local", "51-0-0-80.home.arpa"] {
        assert_eq!(ask(name), None, "{name}");
    }
    // Another configuration, and the resolver has it at once.
    let text = rendered(Kind::Dns, &state("", ALLOW)).replace("host-record=gateway", "host-record=portal");
    lab.load(Kind::Dns, &text).good();
    assert_eq!(ask("portal.berth.internal"), Some(GATEWAY));
    // One that is refused leaves it; so does one that only turns out to be bad when it runs.
    lab.load(Kind::Dns, &format!("{text}no-such-thing\n")).coded(1).says("bad option at line");
    lab.load(Kind::Dns, &text.replace(&GATEWAY.to_string(), "172.19.2.9")).coded(1).says("not an address");
    assert_eq!(ask("portal.berth.internal"), Some(GATEWAY));
    lab.load(Kind::Dns, &format!("{text}dhcp-range=172.19.2.50,172.19.2.60\n")).coded(1).says("before is in force");
    assert_eq!(ask("portal.berth.internal"), Some(GATEWAY));
}

/// A server's resolver, with the patience of the C library's: two tries of five seconds, and told that the port is closed it
/// tries at once.
fn keeps_answering(_: &World) {
    let lab = Lab::with(&state("", ""));
    let socket = lab.server(1).datagrams(Ipv4Addr::UNSPECIFIED, 0);
    lab.server(1).enter(|| socket.connect((GATEWAY, 53))).expect("connect");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let ended = AtomicBool::new(false);
    let pid = || fs::read_to_string(lab.path("run/dnsmasq.pid")).ok()?.trim().parse::<u32>().ok();
    let killed = || {
        let old = eventually("a resolver runs", pid);
        send(old, Signal::KILL);
        eventually("another one runs", || pid().filter(|new| *new != old));
    };
    let asked = AtomicU32::new(0);
    let unanswered = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut unanswered = 0_u32;
            while !ended.load(Ordering::Relaxed) {
                let mut answer = [0; 512];
                let mut tries = || {
                    // What came too late for an earlier try is as good.
                    socket.send(&lab::question("gateway.berth.internal")).is_ok() && socket.recv(&mut answer).is_ok()
                };
                unanswered += u32::from(!(tries() || tries()));
                asked.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
            unanswered
        });
        let goes_on = || {
            let so_far = asked.load(Ordering::Relaxed);
            eventually("the client goes on", || (asked.load(Ordering::Relaxed) > so_far).then_some(()));
        };
        {
            let _ended = Ended(&ended);
            for text in ["portal", "gateway", "portal", "gateway"] {
                let text = rendered(Kind::Dns, &state("", "")).replace("host-record=gateway", &format!("host-record={text}"));
                goes_on();
                lab.load(Kind::Dns, &text).good();
            }
            // One that has worked for a while is started again at once.
            let loaded = Instant::now();
            within(PATIENCE, "it has worked for a while", || (loaded.elapsed() > Duration::from_secs(7)).then_some(()));
            killed();
            assert!(lab.log().contains("it is started again\n"), "{}", lab.log());
            // One that keeps ending isn't, so that it doesn't take all of the processor.
            within(PATIENCE, "it waits", || {
                killed();
                lab.log().contains("started again in a second").then_some(())
            });
            goes_on();
        }
        client.join().expect("the client")
    });
    assert_eq!(unanswered, 0, "of {asked:?}");
}

fn keeps_limits(_: &World) {
    let lab = Lab::with(&state("connections = 20\nnew_connections = 200\ndns_queries = 50\n", ""));
    let (one, two) = (lab.server(1), lab.server(2));
    // A flood of questions, through one socket: each counts, and the neighbour notices nothing.
    let socket = one.datagrams(Ipv4Addr::UNSPECIFIED, 0);
    let neighbour = two.datagrams(Ipv4Addr::UNSPECIFIED, 0);
    let (begun, question) = (Instant::now(), lab::question("gateway.berth.internal"));
    for number in 0..2000 {
        let _ = socket.send_to(&question, (GATEWAY, 53));
        if number % 100 == 0 {
            assert!(ask(&neighbour, "gateway.berth.internal").is_some(), "after {number}");
        }
    }
    let bound = 100.0 + 50.0 * begun.elapsed().as_secs_f64();
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let answered = std::iter::from_fn(|| socket.recv(&mut [0; 512]).ok()).count();
    assert!((90..=bound as usize + 5).contains(&answered), "{answered} of 2000 answered, {bound} allowed");

    // Connections that stay open.
    let open: Vec<_> = (0..30).map(|_| one.stream(WEBSITE, 443)).collect();
    assert_eq!(open.iter().filter(|stream| stream.is_ok()).count(), 20);
    assert!(two.stream(WEBSITE, 443).is_ok());

    // New ones in a second: a datagram that nobody answers is one each time.
    let flood = |id: u8| {
        let begun = Instant::now();
        let socket = lab.server(id).datagrams(Ipv4Addr::UNSPECIFIED, 0);
        for _ in 0..2000 {
            let _ = socket.send_to(b"new", (WEBSITE, SINK));
        }
        (lab.arrived().len(), begun.elapsed().as_secs_f64())
    };
    let (arrived, seconds) = flood(2);
    let bound = 400.0 + 200.0 * seconds;
    assert!((350..=bound as usize + 5).contains(&arrived), "{arrived} of 2000 arrived, {bound} allowed");
    // Another number holds at once, for a server that had the old one too.
    lab.load(Kind::Firewall, &rendered(Kind::Firewall, &state("new_connections = 10\n", ""))).good();
    let (arrived, seconds) = flood(2);
    let bound = 20.0 + 10.0 * seconds;
    assert!((10..=bound as usize + 5).contains(&arrived), "{arrived} of 2000 arrived, {bound} allowed");
}
