//! Metrics: scraped from a process that has one socket and nothing else; and the past, which outlives the reconciler.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use berth_schema::name::ServerId;
use berth_tests::{Platform, World, eventually};
use berth_wire::client::Daemon;
use berth_wire::figures::{ServerFigures, Span};

crate::stories! {
    scrapers_read_what_servers_use,
    the_past_of_servers_outlives_the_reconciler,
}

/// A port that nobody has.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

/// The samples of a scrape, by series; `None` where nobody answers.
fn scrape(at: SocketAddr) -> Option<BTreeMap<String, f64>> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: berth\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, text) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Some(lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, value)| (series.to_owned(), value.parse().expect("a number"))).collect())
}

/// Value of a server's series, whatever its cgroup and its image.
fn of(scraped: &BTreeMap<String, f64>, metric: &str, container: &str) -> Option<f64> {
    let (begin, name) = (format!("{metric}{{"), format!("name=\"{container}\""));
    scraped.iter().find(|(series, _)| series.starts_with(&begin) && series.contains(&name)).map(|(_, value)| *value)
}

fn table(at: SocketAddr) -> String {
    format!("\n[metrics]\nlisten = \"{at}\"\n")
}

fn scrapers_read_what_servers_use(world: &World) {
    let (first, second) = (free(), free());
    let platform = Platform::new(world.engine(), |state| {
        state.append("platform.toml", &table(first)).server("busy", 1, "").server("off", 2, "state = \"stopped\"\n");
    });
    platform.apply();
    let daemon = platform.up();
    let busy = platform.name(1);
    platform.docker().shell(&busy, "while :; do :; done &").good();
    let scraped = eventually("the busy server is scraped", || {
        scrape(first).filter(|all| of(all, "container_cpu_usage_seconds_total", &busy).is_some_and(|time| time > 0.2))
    });
    for metric in ["container_memory_working_set_bytes", "container_threads", "container_spec_memory_limit_bytes"] {
        assert!(of(&scraped, metric, &busy).is_some_and(|value| value > 0.0), "{metric} in {scraped:?}");
    }
    assert_eq!(of(&scraped, "container_cpu_usage_seconds_total", &platform.name(2)), None, "it is off");
    let host = "{id=\"/\",name=\"\",image=\"\"}";
    assert!(scraped[&format!("container_memory_working_set_bytes{host}")] > 0.0);
    assert_eq!((scraped["berth_up"], scraped["berth_servers"]), (1.0, 2.0));
    // A push is counted by its verdict, and a pass by its end.
    let passes = |all: &BTreeMap<String, f64>| all["berth_passes_total{result=\"clean\"}"];
    platform.commit("elsewhere", |state| {
        let settings = state.read("platform.toml").replace(&table(first), &table(second));
        state.write("platform.toml", &settings);
    });
    let moved = eventually("scrapers are answered elsewhere", || scrape(second).filter(|all| passes(all) > passes(&scraped)));
    assert!(moved["berth_up"] > 0.0);
    eventually("and nowhere else", || TcpStream::connect(first).is_err().then_some(()));
    // Another commit ends it.
    platform.commit("no metrics", |state| {
        let settings = state.read("platform.toml").replace(&table(second), "");
        state.write("platform.toml", &settings);
    });
    eventually("nobody listens", || TcpStream::connect(second).is_err().then_some(()));
    daemon.end();
}

/// Figures of a server's last hour.
fn figures(socket: &Path, server: u32) -> Option<ServerFigures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let id = ServerId(server.try_into().expect("an id"));
        let mut daemon = Daemon::find(socket).await.expect("a socket")?;
        daemon.figures([id], Span::Hour).await.expect("figures")?.servers.pop()
    })
}

fn the_past_of_servers_outlives_the_reconciler(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let panel = platform.panel().join("panel.sock");
    let daemon = platform.daemon();
    let samples = |figures: &ServerFigures| figures.samples.iter().flatten().count();
    let before = eventually("it has a past", || figures(&panel, 1).filter(|known| samples(known) >= 3));
    daemon.end();
    let daemon = platform.daemon();
    let after = eventually("it is sampled again", || figures(&panel, 1).filter(|known| known.newest().is_some()));
    assert!(samples(&after) > samples(&before), "{} samples, and {} before", samples(&after), samples(&before));
    assert!(after.samples.contains(&None), "nobody sampled while there was no reconciler");
    // What wasn't written when it was killed is lost, and nothing else.
    daemon.kill();
    let _daemon = platform.daemon();
    let last = eventually("it goes on", || figures(&panel, 1).filter(|known| known.newest().is_some()));
    assert!(samples(&last) >= samples(&before), "{} samples, and {} before", samples(&last), samples(&before));
}
