//! Names outside the platform's domain, and a real DNS server that says whose they are.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Bench, InTime as _, Said};

/// A DNS server that knows these texts and nothing else.
pub(super) struct Dns {
    child: Child,
    pub(super) at: SocketAddr,
}

impl Dns {
    pub(super) fn new(texts: &[(&str, &str)]) -> Self {
        // Somebody else may take the port in between; then another is tried.
        for _ in 0..10 {
            let at = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let mut command = Command::new("dnsmasq");
            command
                .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root"])
                .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts"])
                // Whatever isn't here, isn't anywhere.
                .args(["--local=/#/", &format!("--port={}", at.port())]);
            command.args(texts.iter().map(|(name, text)| format!("--txt-record={name},{text}")));
            let child =
                command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("dnsmasq is installed");
            let mut dns = Self { child, at };
            if dns.answers() {
                return dns;
            }
        }
        panic!("no DNS server came up");
    }

    fn answers(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().unwrap().is_none() && Instant::now() < until {
            if std::net::TcpStream::connect(self.at).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn push(bench: &Bench, resolver: SocketAddr, domain: &str) -> Said {
    let path = format!("domains/{domain}.toml");
    bench.commit(&[(&path, Some("server = \"bobs\"\n"))]);
    let mut push = bench.pusher(Some("bob"));
    push.env("BERTH_RESOLVER", resolver.to_string());
    Said::of(&push.args(["push", "origin", "HEAD:main"]).in_time())
}

/// Proposes a domain for `bobs`, on top of main as it is.
fn propose(bench: &Bench, resolver: SocketAddr, domain: &str) -> Said {
    bench.git(&["fetch", "--quiet", "origin"]);
    bench.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    let path = format!("domains/{domain}.toml");
    bench.commit(&[(&path, Some("server = \"bobs\"\n"))]);
    let mut push = bench.pusher(Some("bob"));
    push.env("BERTH_RESOLVER", resolver.to_string());
    Said::of(&push.args(["push", "origin", "HEAD:refs/heads/review/domain"]).in_time())
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.push_change(None, &[("users/bob.toml", Some("[quota]\ncustom_domains = true\n"))]).accepted(&[]);
    bench
}

#[test]
fn a_record_in_dns_makes_a_name_theirs() {
    let bench = bench();
    let long = "x".repeat(200);
    let dns = Dns::new(&[
        ("_berth.bob.example", "berth-verify=hosting.example.org/bob"),
        ("_berth.cyn.example", "berth-verify=hosting.example.org/cyn"),
        ("_berth.many.example", &format!("{long},{long}")),
        ("_berth.many.example", &format!("{long},{long}y")),
        ("_berth.many.example", "berth-verify=hosting.example.org/bob"),
    ]);
    push(&bench, dns.at, "bob.example").accepted(&[]);
    // Whose a name is, is what lies below it.
    push(&bench, dns.at, "www.bob.example").accepted(&[]);
    // An answer that is too long for a datagram is fetched whole.
    push(&bench, dns.at, "many.example").accepted(&[]);
    for theirs in ["cyn.example", "nobody.example"] {
        let domain = format!("`_berth.{theirs}. TXT \"berth-verify=hosting.example.org/bob\"`");
        push(&bench, dns.at, theirs).refused(&[
            &format!("domains/{theirs}.toml:1:10"),
            &format!("nobody has proved yet that `{theirs}` is `bob`'s"),
            &domain,
        ]);
        bench.git(&["reset", "--quiet", "--hard", "origin/main"]);
    }
    // `berth why` says the same.
    bench.commit(&[("domains/other.bob.example.toml", Some("server = \"bobs\"\n"))]);
    bench.git(&["push", "--quiet", bench.bare.to_str().unwrap(), "HEAD:refs/heads/try"]);
    let why = |resolver: &str| {
        bench.berth(&["--resolver", resolver, "why", "bob", "--from", "main", "--to", "try"])
    };
    let said = why(&dns.at.to_string());
    assert!(said.good, "{}", said.text);
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let said = why(&silent.local_addr().unwrap().to_string());
    assert!(!said.good);
    said.has(&["DNS could not be asked whose `other.bob.example` is", "nobody has proved yet"]);
}

#[test]
fn a_resolver_that_is_silent_proves_nothing_and_holds_nobody_up() {
    let bench = bench();
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    push(&bench, silent.local_addr().unwrap(), "bob.example")
        .refused(&["DNS could not be asked whose `bob.example` is: 127.0.0.1: ", "nobody has proved yet"]);
}

/// A way to a DNS server on which the first datagram with each question is lost.
fn lossy(dns: SocketAddr, scope: &Scope) -> SocketAddr {
    let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = here.local_addr().unwrap();
    let ended = scope.ended();
    std::thread::spawn(move || {
        here.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        there.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (mut lost, mut datagram) = (HashSet::new(), [0; 2048]);
        while !ended() {
            let Ok((length, from)) = here.recv_from(&mut datagram) else { continue };
            if lost.insert(datagram[..length].to_vec()) {
                continue;
            }
            there.send_to(&datagram[..length], dns).unwrap();
            let length = there.recv(&mut datagram).unwrap();
            here.send_to(&datagram[..length], from).unwrap();
        }
    });
    at
}

/// A DNS server whose answers are all too long for a datagram, and come over TCP a byte now and then.
fn slow(scope: &Scope) -> SocketAddr {
    let (tcp, udp) = loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Somebody else may have the other port of this number.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            break (tcp, udp);
        }
    };
    let at = tcp.local_addr().unwrap();
    let ended = scope.ended();
    std::thread::spawn(move || {
        udp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut datagram = [0; 2048];
        while !ended() {
            let Ok((length, from)) = udp.recv_from(&mut datagram) else { continue };
            // An answer, and cut short.
            datagram[2] |= 0x82;
            udp.send_to(&datagram[..length], from).unwrap();
        }
    });
    let ended = scope.ended();
    std::thread::spawn(move || {
        tcp.set_nonblocking(true).unwrap();
        let mut streams = Vec::new();
        while !ended() {
            streams.extend(tcp.accept().map(|(stream, _)| stream));
            streams.retain_mut(|stream| stream.write_all(&[0xff]).is_ok());
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    at
}

/// Guard of threads: those that it was given to go on as long as it exists.
struct Scope(Arc<AtomicBool>);

impl Scope {
    fn ended(&self) -> impl Fn() -> bool + Send + 'static {
        let ended = Arc::clone(&self.0);
        move || ended.load(Ordering::Relaxed)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_question_that_is_lost_is_asked_again_and_a_slow_answer_isnt_waited_for() {
    let bench = bench();
    let scope = Scope(Arc::default());
    let dns = Dns::new(&[("_berth.bob.example", "berth-verify=hosting.example.org/bob")]);
    push(&bench, lossy(dns.at, &scope), "bob.example").accepted(&[]);
    push(&bench, slow(&scope), "late.example").refused(&[
        "DNS could not be asked whose `late.example` is: 127.0.0.1: no answer",
        "nobody has proved yet",
    ]);
}

#[test]
fn a_proposal_is_judged_with_the_same_proofs() {
    let bench = bench();
    let dns = Dns::new(&[("_berth.bob.example", "berth-verify=hosting.example.org/bob")]);
    // What DNS says is theirs, is theirs, and merges itself.
    propose(&bench, dns.at, "bob.example").accepted(&["review/domain is merged: main is at "]);
    // What it doesn't say waits.
    propose(&bench, dns.at, "late.example")
        .accepted(&["nobody has proved yet that `late.example` is `bob`'s", "review/domain waits"]);
    let show = |resolver: SocketAddr| {
        bench.berth(&["--resolver", &resolver.to_string(), "review", "--as", "bob", "show", "domain"])
    };
    show(dns.at).accepted(&["needs review: `ann` may agree to it"]);
    // A silent resolver is told of, and proves nothing.
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    show(silent.local_addr().unwrap())
        .accepted(&["DNS could not be asked whose `late.example` is", "needs review: `ann` may agree to it"]);
    // Published since: a later look finds it.
    let later = Dns::new(&[("_berth.late.example", "berth-verify=hosting.example.org/bob")]);
    show(later.at).accepted(&["bob may change all of it"]);
}
