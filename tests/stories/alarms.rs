//! Alarms on a real platform: what happens to servers and processes is told once, together, not while it is silenced, and so is its end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use berth_testing::process::{send, within};
use berth_tests::{Platform, World, eventually};
use rustix::process::Signal;
use serde_json::Value;

crate::stories! {
    an_alarm_arrives_once_and_is_over_when_it_is_mended,
}

/// Time for something to be seen, to last, and to be told.
const TOLD: Duration = Duration::from_secs(420);

/// A program that takes messages on loopback.
#[derive(Clone)]
struct Receiver {
    at: SocketAddr,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let receiver = Self { at: listener.local_addr().expect("an address"), got: Arc::default() };
        let own = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever only knocks says nothing.
                let _ = own.take(&stream);
            }
        });
        receiver
    }

    fn take(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).ok()? > 0 && line != "\r\n" {
            if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = number.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        self.got.lock().expect("a lock").push(serde_json::from_slice(&body).ok()?);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nthank").ok()
    }

    /// Messages that tell of something.
    fn told(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let names = |message: &Value, of: &str| {
            let all = message[of].as_array().expect("a list").iter();
            let name = |one: &Value| format!("{} {}", one["kind"].as_str().expect("a kind"), one["about"].as_str().expect("a thing"));
            let mut names: Vec<String> = all.map(name).collect();
            names.sort();
            names
        };
        let got = self.got.lock().expect("a lock").clone();
        got.iter().filter(|message| message["test"] == false).map(|message| (names(message, "began"), names(message, "over"))).collect()
    }

    /// Names that were told so far, those of ends with a `-`.
    fn names(&self) -> Vec<String> {
        let told = self.told().into_iter();
        told.flat_map(|(began, over)| began.into_iter().chain(over.into_iter().map(|name| format!("-{name}")))).collect()
    }

    /// Number of times that a name was told.
    fn times(&self, name: &str) -> usize {
        self.names().iter().filter(|told| *told == name).count()
    }

    fn tells(&self, name: &str) {
        within(TOLD, &format!("`{name}` is told"), || (self.times(name) > 0).then_some(()));
    }
}

/// An alarm, as `berth alarms --json` lists it.
fn listed(platform: &Platform, kind: &str, about: &str) -> Option<Value> {
    let ran = platform.berth(&["alarms", "--json"]);
    let all: Value = serde_json::from_slice(ran.stdout.as_bytes()).ok()?;
    all["on"].as_array()?.iter().find(|one| one["kind"] == kind && one["about"] == about).cloned()
}

/// Has the memory of a server be full: the kernel ends the program, and the server goes on.
fn fill_memory(platform: &Platform, id: u32) {
    assert!(!platform.docker().shell(&platform.name(id), "awk 'BEGIN { for (x = \"x\"; ; x = x x) {} }'").is_good());
}

fn an_alarm_arrives_once_and_is_over_when_it_is_mended(world: &World) {
    let receiver = Receiver::start();
    let scraped = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let rules = "[alarms]\nunapplied = \"1s\"\ncalm = \"45s\"\n[alarms.webhook]\n";
    let platform = Platform::new(world.engine(), |state| {
        let settings = format!("\n[metrics]\nlisten = \"{scraped}\"\n{rules}");
        state.append("platform.toml", &settings).server("shop", 1, "").server("blog", 2, "");
    });
    platform.apply();
    store(&platform, &format!("http://{}/hook", receiver.at));
    let up = platform.up();
    platform.berth(&["alarms", "test"]).good().says("the webhook: it answered 200 OK: thank");
    eventually("somebody looks", || {
        let listed: Value = serde_json::from_slice(platform.berth(&["alarms", "--json"]).stdout.as_bytes()).ok()?;
        (listed["runs"] == true).then_some(())
    });

    // Two servers at once are one message. While one kind is silenced, it is listed and not told.
    platform.berth(&["alarms", "silence", "oom", "--for", "1h"]).good();
    fill_memory(&platform, 1);
    fill_memory(&platform, 2);
    let shop = within(TOLD, "it is listed", || listed(&platform, "oom", "server/shop"));
    assert_eq!((&shop["silenced"], &shop["told"]), (&Value::Bool(true), &Value::Null), "{shop}");
    within(TOLD, "and the other", || listed(&platform, "oom", "server/blog"));
    assert_eq!(receiver.times("oom server/shop"), 0);
    fill_memory(&platform, 1);
    fill_memory(&platform, 2);
    platform.berth(&["alarms", "silence", "oom", "--end"]).good();
    receiver.tells("oom server/shop");
    let both = ["oom server/blog".to_owned(), "oom server/shop".to_owned()];
    assert!(receiver.told().iter().any(|(began, _)| both.iter().all(|name| began.contains(name))), "{:?}", receiver.told());
    receiver.tells("-oom server/shop");
    receiver.tells("-oom server/blog");
    assert_eq!((receiver.times("oom server/shop"), receiver.times("-oom server/shop")), (1, 1), "{:?}", receiver.told());

    // A process that its supervisor can't start again.
    let metrics = child(up.pid(), "metrics");
    send(up.pid(), Signal::STOP);
    send(metrics, Signal::KILL);
    receiver.tells("process process/metrics");
    send(up.pid(), Signal::CONT);
    receiver.tells("-process process/metrics");

    // A state that can't be applied, since somebody else has the name, silenced by the commit that brings it.
    let (docker, third) = (platform.docker(), platform.name(3));
    let image = docker.run(&["inspect", "--format", "{{.Config.Image}}", &platform.name(1)]);
    docker.run(&["create", "--name", &third, image.trim()]);
    platform.commit("a server that can't be made", |state| {
        let settings = state.read("platform.toml").replace("unapplied = ", "silence = [\"unapplied\"]\nunapplied = ");
        state.write("platform.toml", &settings).server("third", 3, "");
    });
    let failed = within(TOLD, "it is listed", || listed(&platform, "unapplied", "platform").filter(|one| one["silenced"] == true));
    assert_eq!(failed["told"], Value::Null);
    platform.commit("no silence", |state| {
        let settings = state.read("platform.toml").replace("silence = [\"unapplied\"]\n", "");
        state.write("platform.toml", &settings);
    });
    receiver.tells("unapplied platform");
    docker.run(&["rm", &third]);
    platform.commit("mended", |state| {
        state.remove("servers/third.toml");
    });
    receiver.tells("-unapplied platform");
    assert_eq!(receiver.times("unapplied platform"), 1, "{:?}", receiver.told());
    up.end();
}

fn store(platform: &Platform, url: &str) {
    let mut command = platform.berth_command(&["secret", "set", "alarms-webhook"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("berth secret");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(url.as_bytes()).expect("write the URL");
    drop(input);
    assert!(child.wait().expect("its end").success());
}

/// The child of a process that runs this command of `berth`.
fn child(parent: u32, command: &str) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).expect("its children");
    let runs = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(command.as_bytes())
    };
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(runs).expect("the child")
}
