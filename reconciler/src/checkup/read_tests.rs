//! Reading: words of the kernel and of programs, and a look at whatever host the tests run on.

use super::*;

#[test]
fn the_words_of_the_host_are_understood() {
    assert_eq!(
        system("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
        "Debian GNU/Linux 13 (trixie)"
    );
    assert_eq!(system(""), "");
    assert_eq!(client("Docker version 20.10.24+dfsg1, build 297e128").as_deref(), Some("20.10.24+dfsg1"));
    assert_eq!(client("podman version 5"), None);
    let meminfo = "MemTotal:       24613720 kB\nMemFree: 1 kB\nSwapTotal:        1024 kB\n";
    assert_eq!(memory(meminfo), (Some(24_613_720 << 10), 1 << 20));
    assert_eq!(memory(""), (None, 0));
    assert_eq!(
        [Some("yes"), Some("no"), Some(""), None].map(clock),
        [Clock::Synchronised, Clock::Alone, Clock::Unknown, Clock::Unknown]
    );
}

#[test]
fn a_package_is_found_by_its_whole_name() {
    let list = "Package: caddy-extras\nStatus: x\nVersion: 1\n\nPackage: caddy\nStatus: x\nVersion: 2.6.2-5\nDepends: y\n\nPackage: z\n";
    assert_eq!(package(list, "caddy").as_deref(), Some("2.6.2-5"));
    assert_eq!(package(list, "cad"), None);
    assert_eq!(package(list, "z"), None);
}

#[test]
fn a_platform_s_ports_are_those_of_what_it_runs() {
    let of = |more: &str| {
        let text = format!("domain = \"h.org\"\n{more}");
        let state = State::assemble([&berth_schema::Parsed::parse("platform.toml", &text)]).unwrap();
        ports_of(&state.platform).into_iter().map(|(place, ..)| place).collect::<Vec<SocketAddr>>()
    };
    let everywhere = |ports: &[u16]| ports.iter().map(|port| everywhere(*port)).collect::<Vec<SocketAddr>>();
    assert_eq!(of(""), everywhere(&[80, 443, 10_022]), "the defaults, but for the panel, which has none");
    assert_eq!(of("[panel]\ndomain = \"p.h.org\"\n"), USUAL_PORTS.map(|(place, ..)| place));
    assert_eq!(of("[services]\nweb = false\nrouter = false\n"), everywhere(&[]));
    assert_eq!(
        of("[web]\nhttp_port = 8080\nhttps_port = 8444\n[ssh]\nport = 22\n"),
        everywhere(&[8080, 8444, 22])
    );
    let own = "[web]\naddress = \"198.51.100.1\"\n[panel]\ndomain = \"p.h.org\"\naddress = \"198.51.100.2\"\nport = 443\n";
    let places = ["198.51.100.1:80", "198.51.100.1:443", "0.0.0.0:10022", "198.51.100.2:443"];
    assert_eq!(of(own), places.map(|place| place.parse::<SocketAddr>().unwrap()));
}

/// Names that nobody is asked about.
#[derive(Debug)]
struct Nobody;

impl Lookup for Nobody {
    fn addresses(&self, _: &State, _: &str) -> Result<Vec<(IpAddr, bool)>, String> {
        Err("nobody is asked".to_owned())
    }
}

/// Without an engine, a state or a folder of Berth's, as before anything is installed.
#[tokio::test]
async fn a_host_is_read_before_anything_is_there() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let socket = format!("unix://{}", at("docker.sock"));
    let line = ["x", "--state", &at("state.git"), "--data", &at("data"), "--docker", &socket];
    let Line { settings } = clap::Parser::parse_from(line);
    let facts =
        read(&settings, "/nowhere/berth-runtime".as_ref(), Wanted { state: None, lookup: &Nobody }).await;
    assert!(!facts.kernel.is_empty() && facts.memory.is_some(), "{facts:?}");
    assert!(matches!(facts.engine, Engine::Absent | Engine::Silent(_)), "{:?}", facts.engine);
    assert_eq!((facts.name.is_none(), facts.caddy.is_none(), facts.ports.len()), (true, true, 4));
    assert!(!facts.disks.is_empty());
    // Nothing was made.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
