//! Names outside the platform's domain, and a real DNS server that says whose they are.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Bench, Said};

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
    Said::of(&push.args(["push", "origin", "HEAD:main"]).output().unwrap())
}

/// Proposes a domain for `bobs`, on top of main as it is.
fn propose(bench: &Bench, resolver: SocketAddr, domain: &str) -> Said {
    bench.git(&["fetch", "--quiet", "origin"]);
    bench.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    let path = format!("domains/{domain}.toml");
    bench.commit(&[(&path, Some("server = \"bobs\"\n"))]);
    let mut push = bench.pusher(Some("bob"));
    push.env("BERTH_RESOLVER", resolver.to_string());
    Said::of(&push.args(["push", "origin", "HEAD:refs/heads/review/domain"]).output().unwrap())
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
