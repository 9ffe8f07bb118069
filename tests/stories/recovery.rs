//! Parts of the user plane are killed, one after the other, while a server keeps on trying what it may and what it may
//! not reach: nothing that is denied is reached for a moment, and everything comes back without a hand.

use std::fs;
use std::time::{Duration, Instant};

use berth_tests::lab::{DENIED, PUBLIC, WEBSITE};
use berth_tests::process::{send, within};
use berth_tests::{Docker, Lab, Platform, Ran, World, run};
use rustix::process::Signal;

crate::stories! { nothing_leaks_while_parts_die_and_come_back }

/// A server with Docker in it takes some seconds to come up, and longer on a busy machine.
const BOOT: Duration = Duration::from_secs(180);
/// A part that keeps dying is started again after pauses that grow.
const RECOVERY: Duration = Duration::from_secs(90);
const SIZE: &str = "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n";
const SAMPLER: u32 = 1;
const APP: u32 = 2;
const DOMAIN: &str = "app.stories.example.org";

/// Every 20 ms: a datagram and the beginning of a connection to each denied address, and a connection to an allowed one,
/// of which it writes down when it was and whether it worked.
const PROGRAM: &str = r#"use strict; use Socket; use Fcntl; use Time::HiRes qw(time sleep); $| = 1;
my ($allowed, @denied) = @ARGV;
sub opened { socket(my $s, PF_INET, SOCK_STREAM, 0) or die; fcntl($s, F_SETFL, O_NONBLOCK);
    connect($s, sockaddr_in(80, inet_aton($_[0]))); $s }
socket(my $datagrams, PF_INET, SOCK_DGRAM, 0) or die;
while (1) {
    my @pending = map { send($datagrams, 'x', 0, sockaddr_in(4444, inet_aton($_))); opened($_) } @denied;
    my $s = opened($allowed); my $w = ''; vec($w, fileno($s), 1) = 1;
    my $ready = select(undef, $w, undef, 0.25);
    my $worked = $ready && unpack('i', getsockopt($s, SOL_SOCKET, SO_ERROR)) == 0;
    printf "%.3f %d\n", time, $worked ? 1 : 0;
    sleep 0.02;
}"#;

fn nothing_leaks_while_parts_die_and_come_back(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |first| {
        first.server("sampler", SAMPLER, SIZE).server("app", APP, SIZE);
        first.write(&format!("domains/{DOMAIN}.toml"), "server = \"app\"\ntls = \"off\"\n");
    });
    platform.apply();
    let daemon = platform.daemon();
    let plane = Plane::of(&platform);
    let everything = Everything { lab, platform: &platform };
    everything.comes_back("at first", BOOT);
    let counters = Counters::start(lab, &plane);
    let sampler = Sampler::start(&platform, &plane);
    sampler.has_sampled(50);

    let service = |end: &str| format!("{}-users-{end}", platform.prefix);
    for part in ["firewall", "caddy", "dockerhub-cache"] {
        let began = Instant::now();
        kill(platform.docker(), &service(part));
        everything.comes_back(part, RECOVERY);
        eprintln!("{part}: back after {:.1} s; {}", began.elapsed().as_secs_f64(), sampler.outage());
        counters.saw_nothing_denied(part);
    }

    let began = Instant::now();
    lab.engine().kill();
    sampler.has_sampled(50);
    lab.engine().restart();
    everything.comes_back("the engine", RECOVERY);
    eprintln!("the engine: back after {:.1} s; {}", began.elapsed().as_secs_f64(), sampler.outage());
    counters.saw_nothing_denied("the engine");

    let began = Instant::now();
    kill(platform.docker(), &platform.name(APP));
    everything.comes_back("a server", BOOT);
    eprintln!("a server: back after {:.1} s; {}", began.elapsed().as_secs_f64(), sampler.outage());
    counters.saw_nothing_denied("a server");

    // A pass that changes the firewall and the domains, under way.
    platform.commit("a denied network and a domain more", |state| {
        let settings = state.read("platform.toml");
        state.write("platform.toml", &format!("{settings}\n[firewall]\ndeny = [\"53.0.0.0/8\"]\n"));
        state.write("domains/too.stories.example.org.toml", "server = \"app\"\ntls = \"off\"\n");
    });
    within(RECOVERY, "the new rules are in force", || {
        plane.run("iptables-save -t filter").stdout.contains("53.0.0.0/8").then_some(())
    });
    everything.comes_back("a pass", RECOVERY);
    eprintln!("a pass: {}", sampler.outage());
    counters.saw_nothing_denied("a pass");

    // The sampler's own server: linked again by its runtime, and closed until then.
    kill(platform.docker(), &platform.name(SAMPLER));
    everything.comes_back("the sampler's server", BOOT);
    let again = Sampler::start(&platform, &plane);
    again.has_sampled(50);
    counters.saw_nothing_denied("the sampler's server");
    counters.saw_what_is_allowed();

    // The holder, and with it the plane: closed until the firewall has joined the new one.
    let began = Instant::now();
    kill(platform.docker(), &format!("{}-filtered-users", platform.prefix));
    everything.comes_back("the plane itself", BOOT);
    eprintln!("the plane itself: back after {:.1} s; {}", began.elapsed().as_secs_f64(), again.outage());
    counters.saw_nothing_denied_outside("the plane itself");

    daemon.end();
    within(RECOVERY, "nothing is left to do", || (platform.berth(&["plan"]).code == Some(0)).then_some(()));
}

/// Kills a container's first process, as the kernel would when memory runs out, and waits until it has another.
#[track_caller]
fn kill(docker: &Docker, container: &str) {
    let pid = docker.container(container).pid;
    assert!(pid > 1, "{container} runs");
    send(pid, Signal::KILL);
    within(RECOVERY, &format!("{container} runs again"), || {
        let now = docker.find(container)?;
        (now.runs() && now.pid > 1 && now.pid != pid).then_some(())
    });
}

/// Everything that must come back.
struct Everything<'a> {
    lab: &'a Lab,
    platform: &'a Platform,
}

impl Everything<'_> {
    #[track_caller]
    fn comes_back(&self, after: &str, deadline: Duration) {
        let server = self.platform.name(SAMPLER);
        let cache = format!("{}4", self.users().trim_end_matches("0/24"));
        let inside = [
            ("the internet", format!("curl -fsS -m 3 http://{WEBSITE}/")),
            ("names", "getent hosts gateway.berth.internal".to_owned()),
            ("the cache", format!("curl -fsS -m 3 http://{cache}:5000/v2/")),
        ];
        for (what, script) in inside {
            within(deadline, &format!("{what}, after {after}"), || {
                let ran = self.platform.docker().attempt(&["exec", &server, "sh", "-c", &script]);
                ran.is_good().then_some(())
            });
        }
        within(deadline, &format!("a visitor's page, after {after}"), || {
            let host = format!("Host: {DOMAIN}");
            let page = ["-o", "/dev/null", "-w", "%{http_code}", "-H", &host, &format!("http://{PUBLIC}/")];
            (self.lab.visit(&page).stdout == "200").then_some(())
        });
    }

    /// The users' subnet.
    fn users(&self) -> String {
        users(self.platform)
    }
}

fn users(platform: &Platform) -> String {
    let settings = platform.state.read("platform.toml");
    let line = settings.lines().find(|line| line.starts_with("users = ")).expect("the users' subnet");
    line.split('"').nth(1).expect("a subnet").to_owned()
}

/// The plane's network namespace.
struct Plane {
    pid: u32,
    sampler: String,
}

impl Plane {
    fn of(platform: &Platform) -> Self {
        let pid = platform.docker().container(&format!("{}-filtered-users", platform.prefix)).pid;
        Self { pid, sampler: format!("{}16", users(platform).trim_end_matches("0/24")) }
    }

    fn run(&self, script: &str) -> Ran {
        let mut command = std::process::Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid)).args(["sh", "-c", script]);
        run(&mut command, Duration::from_secs(20)).good()
    }
}

/// Counters where a packet would arrive: outside, and at each other port of the plane. They lie in tables that the
/// firewall's rules leave alone.
struct Counters<'a> {
    lab: &'a Lab,
    plane: &'a Plane,
}

impl<'a> Counters<'a> {
    fn start(lab: &'a Lab, plane: &'a Plane) -> Self {
        for address in DENIED.iter().chain(&[WEBSITE]) {
            lab.internet().namespace().shell(&format!("iptables -t raw -A PREROUTING -d {address}")).good();
        }
        let from = &plane.sampler;
        for out in ["s+", "caddy", "router"] {
            plane.run(&format!("iptables -t mangle -A POSTROUTING -s {from} -o {out}"));
        }
        Self { lab, plane }
    }

    #[track_caller]
    fn saw_nothing_denied(&self, during: &str) {
        for (what, count) in self.counts() {
            let is_allowed = what.contains(&WEBSITE.to_string());
            assert!(is_allowed || count == 0, "{what}, while {during} was away");
        }
    }

    /// Without the plane's own counters, which have gone with it.
    #[track_caller]
    fn saw_nothing_denied_outside(&self, during: &str) {
        for (what, count) in self.outside() {
            let is_allowed = what.contains(&WEBSITE.to_string());
            assert!(is_allowed || count == 0, "{what}, while {during} was away");
        }
    }

    #[track_caller]
    fn saw_what_is_allowed(&self) {
        let counts = self.counts();
        assert_eq!(counts.len(), DENIED.len() + 1 + 3, "{counts:?}");
        let website = counts.iter().find(|(what, _)| what.contains(&WEBSITE.to_string())).expect("the website");
        assert!(website.1 > 500, "the counters count: {counts:?}");
    }

    /// Each counter's rule and packets.
    fn counts(&self) -> Vec<(String, u64)> {
        let inside = self.plane.run("iptables -t mangle -nvxL POSTROUTING").stdout;
        [self.outside(), counts(&inside)].concat()
    }

    fn outside(&self) -> Vec<(String, u64)> {
        counts(&self.lab.internet().namespace().shell("iptables -t raw -nvxL PREROUTING").good().stdout)
    }
}

/// A chain's rules with their packets: two lines of heading, then packets, bytes, and the rule.
fn counts(listed: &str) -> Vec<(String, u64)> {
    let counter = |line: &str| {
        let count = line.split_whitespace().next()?.parse().ok()?;
        Some((line.trim().to_owned(), count))
    };
    listed.lines().skip(2).filter_map(counter).collect()
}

impl Drop for Counters<'_> {
    fn drop(&mut self) {
        self.lab.internet().namespace().shell("iptables -t raw -F PREROUTING");
    }
}

/// The program in the server, by what it has written down.
struct Sampler {
    log: std::path::PathBuf,
    child: std::process::Child,
    /// Samples before this one have been told of.
    told: std::cell::Cell<usize>,
}

impl Sampler {
    /// Starts it with the engine's client out of the way: it has to go on while the engine is dead.
    fn start(platform: &Platform, plane: &Plane) -> Self {
        let pid = platform.docker().container(&platform.name(SAMPLER)).pid;
        let log = platform.home().join(format!("samples-{pid}"));
        let neighbour = format!("{}17", plane.sampler.trim_end_matches("16"));
        let caddy = format!("{}2", plane.sampler.trim_end_matches("16"));
        let mut command = std::process::Command::new("nsenter");
        command
            .args(["--target", &pid.to_string(), "--user", "--mount", "--net", "--pid", "--setuid", "0", "--setgid", "0"])
            .args(["perl", "-e", PROGRAM, "--", &WEBSITE.to_string()])
            .args(DENIED.map(|address| address.to_string()))
            .args([neighbour, caddy])
            .stdin(std::process::Stdio::null())
            .stdout(fs::File::create(&log).expect("a log"));
        let child = command.spawn().expect("nsenter");
        Self { log, child, told: std::cell::Cell::new(0) }
    }

    fn samples(&self) -> Vec<(f64, bool)> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| line.split_once(' ')).map(|(at, worked)| (at.parse().expect("a time"), worked == "1")).collect()
    }

    /// Waits for more samples.
    #[track_caller]
    fn has_sampled(&self, more: usize) {
        let wanted = self.samples().len() + more;
        within(Duration::from_secs(60), "it samples", || (self.samples().len() >= wanted).then_some(()));
    }

    /// How long the allowed address was away since this was last asked.
    fn outage(&self) -> String {
        self.has_sampled(10);
        let samples = self.samples();
        let new = &samples[self.told.replace(samples.len())..];
        let failed = new.iter().filter(|(_, worked)| !worked).count();
        let mut longest = 0.0_f64;
        let mut worked_at = new.first().map_or(0.0, |(at, _)| *at);
        for (at, worked) in new {
            if *worked {
                longest = longest.max(at - worked_at);
                worked_at = *at;
            }
        }
        format!("{} samples, {failed} failed, {longest:.2} s at most without one that worked", new.len())
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
