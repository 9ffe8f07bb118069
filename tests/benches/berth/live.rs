//! (n) A whole platform in a closed world, with all that a commit passes through there: one more domain among ten thousand,
//! and every link after the user plane's holder was killed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::ensure;
use berth_tests::lab::PUBLIC;
use berth_tests::{Lab, Platform, World, image};

use crate::keys;
use crate::servers;
use crate::table;
use crate::times::Times;

const DOMAINS: usize = 10_000;
const SERVERS: usize = 100;
const ADDITIONS: usize = 7;
const KILLS: usize = 5;
/// Time after which a wait is given up. Nothing here takes so long.
const GIVEN_UP: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn run() -> anyhow::Result<()> {
    let _room = keys::Room::make()?;
    let world = World::default();
    let lab = world.lab();
    eprintln!("a platform of {SERVERS} servers and {DOMAINS} domains …");
    let platform = Platform::in_lab(lab, |first| {
        let settings = first.read("platform.toml");
        let settings =
            settings.replace(image::SERVER, image::TINY).replace("\ndomains = 100", "\ndomains = 20000");
        first.write("platform.toml", &settings);
        servers::write(first, SERVERS);
        for number in 1..=DOMAINS {
            first.write(&file(number), DOMAIN);
        }
    });
    servers::apply(&platform)?;
    let app = "mkdir -p /www && echo app > /www/index.html && exec busybox httpd -f -p 8080 -h /www";
    platform.docker().run(&["exec", "-d", &platform.name(1), "busybox", "sh", "-c", app]);
    let daemon = platform.daemon();
    until("the first domain is answered", || is_answered(lab, 1))?;

    let (mut commits, mut answers, mut all) = (Times::default(), Times::default(), Times::default());
    for number in DOMAINS + 1..=DOMAINS + ADDITIONS {
        all.measure(|| {
            commits.measure(|| {
                platform.commit("one more domain", |state| {
                    state.write(&file(number), DOMAIN);
                })
            });
            answers.measure(|| until("the new domain is answered", || is_answered(lab, number)))
        })?;
    }
    table::print(
        &format!(
            "(n) One more domain among {DOMAINS} of a running platform: from the commit to the first answer"
        ),
        &["all", "`git add`, `commit` and `push`", "from the push's end", "rounds"],
        &[vec![all.to_string(), commits.to_string(), answers.to_string(), all.rounds().to_string()]],
    );

    let holder = format!("{}-filtered-users", platform.prefix);
    let pids: Vec<u32> = (1..=SERVERS)
        .map(|id| Ok(platform.running(u32::try_from(id)?).pid))
        .collect::<anyhow::Result<_>>()?;
    let (mut linked, mut answered) = (Times::default(), Times::default());
    for _ in 0..KILLS {
        let before: Vec<_> = pids.iter().map(|pid| link(*pid)).collect();
        platform.docker().run(&["kill", &holder]);
        let killed = Instant::now();
        // The old ones go with the plane, which lives until the last container has left it.
        let is_new =
            |(pid, old): (&u32, &Option<String>)| link(*pid).is_some_and(|new| old.as_ref() != Some(&new));
        until("every server is linked anew", || pids.iter().zip(&before).all(is_new))?;
        linked.push(killed.elapsed());
        until("the domain is answered", || is_answered(lab, 1))?;
        answered.push(killed.elapsed());
        // The next holder is killed when everything rests.
        platform.settled();
    }
    table::print(
        &format!("(n) The user plane's holder is killed, below {SERVERS} servers"),
        &["until every server is linked", "until a domain is answered again", "rounds"],
        &[vec![linked.to_string(), answered.to_string(), linked.rounds().to_string()]],
    );
    daemon.end();
    Ok(())
}

const DOMAIN: &str = "server = \"s1\"\nport = 8080\ntls = \"off\"\n";

fn file(number: usize) -> String {
    format!("domains/d{number:05}.stories.example.org.toml")
}

/// Returns whether a visitor from the internet gets the app under a domain.
fn is_answered(lab: &Lab, number: usize) -> bool {
    let visit = || {
        let mut stream = TcpStream::connect_timeout(&(PUBLIC, 80).into(), Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: d{number:05}.stories.example.org\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.ends_with("app\n"))
    };
    lab.internet().namespace().enter(visit) == Some(true)
}

/// The link through which the network of a process leads anywhere, by the number that the kernel gave it.
fn link(pid: u32) -> Option<String> {
    let read = |what| fs::read_to_string(format!("/proc/{pid}/net/{what}")).unwrap_or_default();
    let routes = read("route");
    let way_out = routes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let device =
        way_out.into_iter().find(|words| words.get(1) == Some(&"00000000"))?.first().copied()?.to_owned();
    let devices = read("igmp");
    let mut devices = devices.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    devices.find(|words| words.get(1) == Some(&device.as_str()))?.first().map(|number| (*number).to_owned())
}

fn until(what: &str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !is_so() {
        ensure!(started.elapsed() < GIVEN_UP, "{what}: not within {GIVEN_UP:?}");
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
