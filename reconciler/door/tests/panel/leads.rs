//! Leads of domains, with a real DNS server.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_repo::Edit;
use berth_schema::name::ServerId;
use berth_wire::web::{Destination, Lead, Leads, Why};

use crate::bench::Bench;

/// A DNS server that knows these addresses and nothing else.
struct Dns(Child);

impl Dns {
    async fn start(names: &[&str]) -> (Self, SocketAddr) {
        // Somebody else may take the port in between; then another is tried.
        loop {
            let at = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let mut command = Command::new("dnsmasq");
            command
                .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root"])
                .args([
                    "--listen-address=127.0.0.1",
                    "--bind-interfaces",
                    "--no-resolv",
                    "--no-hosts",
                    "--local=/#/",
                ])
                .arg(format!("--port={}", at.port()))
                .args(names.iter().map(|name| format!("--host-record={name}")));
            let child =
                command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("dnsmasq is installed");
            let mut dns = Self(child);
            while dns.0.try_wait().unwrap().is_none() {
                if TcpStream::connect(at).is_ok() {
                    return (dns, at);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn id(number: u32) -> ServerId {
    ServerId(number.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_leads_here_elsewhere_or_nowhere() {
    let names = [
        "hosting.example.org,192.0.2.1",
        "bobs.hosting.example.org,192.0.2.1",
        "away.hosting.example.org,203.0.113.9",
    ];
    let (_dns, at) = Dns::start(&names).await;
    let bench = Bench::organised();
    let domain = |more: &str| format!("server = \"bobs\"\n{more}");
    bench.commit(
        "more domains",
        &[
            Edit::write("domains/away.hosting.example.org.toml", domain("")),
            Edit::write("domains/none.hosting.example.org.toml", domain("")),
            Edit::write("domains/behind.hosting.example.org.toml", domain("cloudflare = true\n")),
        ],
    );
    let bench = bench.open_with(Some(at));
    let (bob, cyn) = (bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let asked = Leads { server: id(1) };
    assert_eq!(bench.refusal(Some(&cyn), &asked).await, Why::NotFound);
    // Nobody waits for DNS: the first answer is empty, and a later one has it all.
    assert_eq!(bench.ask(Some(&bob), &asked).await.unwrap(), []);
    let told = loop {
        let told = bench.ask(Some(&bob), &asked).await.unwrap();
        if told.len() == 3 {
            break told;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let wanted = vec![Ipv4Addr::new(192, 0, 2, 1)];
    let lead = |name: &str, to| Lead { fqdn: name.parse().unwrap(), to };
    let addresses = vec![Ipv4Addr::new(203, 0, 113, 9)];
    for expected in [
        lead("bobs.hosting.example.org", Destination::Here),
        lead("away.hosting.example.org", Destination::Elsewhere { addresses, wanted: wanted.clone() }),
        lead("none.hosting.example.org", Destination::Nowhere { wanted }),
    ] {
        assert!(told.contains(&expected), "{expected:?} in {told:?}");
    }

    // What [public] says goes before what the platform's own name says.
    let settings = "domain = \"hosting.example.org\"\n[public]\naddresses = [\"203.0.113.9\"]\n";
    bench.commit("behind a router", &[Edit::write("platform.toml", settings)]);
    bench.pass(Duration::from_secs(61));
    while !bench
        .ask(Some(&bob), &asked)
        .await
        .unwrap()
        .contains(&lead("away.hosting.example.org", Destination::Here))
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
