//! Parts of the user plane are killed, one after the other, at rest and in the middle of a pass, while a server keeps on
//! trying what it may and what it may not reach: nothing that is denied is reached for a moment, and everything comes back
//! without a hand.

mod counters;
mod sampler;

use std::time::{Duration, Instant};

use berth_tests::lab::{PUBLIC, WEBSITE};
use berth_tests::process::{send, within};
use berth_tests::{Docker, Lab, Platform, Proxy, World};
use rustix::process::Signal;

use counters::Counters;
use sampler::Sampler;

crate::stories! { nothing_leaks_while_parts_die_and_come_back }

/// A server with Docker in it takes some seconds to come up, and longer on a busy machine.
const BOOT: Duration = Duration::from_secs(240);
/// A part that keeps dying is started again after pauses that grow, and a change that failed is tried again likewise.
const RECOVERY: Duration = Duration::from_secs(180);
const SIZE: &str = "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n";
const SAMPLER: u32 = 1;
const APP: u32 = 2;
const DOMAIN: &str = "app.stories.example.org";

/// Something that dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Service(&'static str),
    Engine,
    /// The server with the app.
    App,
    /// The hostile server itself.
    Sampler,
}

/// Points of a pass at which a part dies: a program is about to be run, and its beginning is held back.
const LOADS_RULES: &str = r#"load","firewall""#;
const CHECKS_SITES: &str = r#"check","sites""#;
const LOADS_SITES: &str = r#"load","sites""#;

fn nothing_leaks_while_parts_die_and_come_back(world: &World) {
    let lab = world.lab();
    let mut platform = Platform::in_lab(lab, |first| {
        first.server("sampler", SAMPLER, SIZE).server("app", APP, SIZE);
        first.write(&format!("domains/{DOMAIN}.toml"), "server = \"app\"\ntls = \"off\"\n");
    });
    platform.apply();
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    let platform = platform;
    let daemon = platform.daemon();
    let mut counters = Counters::start(lab, &platform);
    let sampler = Sampler::start(&platform);
    let ground = Ground { lab, platform: &platform, sampler: &sampler };
    ground.comes_back("the beginning", DOMAIN, BOOT);
    sampler.has_sampled(50);

    let services = ["firewall", "caddy", "dockerhub-cache"].map(Part::Service);
    for part in services.into_iter().chain([Part::Engine, Part::App, Part::Sampler]) {
        let began = Instant::now();
        ground.dies(part, || {});
        ground.comes_back(&format!("{part:?}"), DOMAIN, BOOT);
        tell(&format!("{part:?}"), began, &sampler);
        counters.saw_nothing_denied(&format!("{part:?}"));
    }

    // In the middle of a pass that changes the firewall, a server and the domains.
    let in_a_pass = [
        (Part::Service("firewall"), LOADS_RULES),
        (Part::Service("caddy"), LOADS_SITES),
        (Part::Service("dockerhub-cache"), LOADS_RULES),
        (Part::Engine, LOADS_RULES),
        (Part::App, CHECKS_SITES),
        (Part::Sampler, LOADS_RULES),
    ];
    let settings = platform.state.read("platform.toml");
    for (number, (part, program)) in in_a_pass.into_iter().enumerate() {
        let (network, domain) = (format!("53.{number}.0.0/16"), format!("app{number}.stories.example.org"));
        let gate = proxy.hold_program(program);
        platform.commit(&format!("a change while {part:?} dies"), |state| {
            state.write("platform.toml", &format!("{settings}\n[firewall]\ndeny = [\"{network}\"]\n"));
            state.write(&format!("domains/{domain}.toml"), "server = \"app\"\ntls = \"off\"\n");
            let size = SIZE.replace("cpus = 1", &format!("cpus = 0.{}", 9 - number));
            state.server("app", APP, &size);
        });
        gate.reached();
        let began = Instant::now();
        ground.dies(part, || gate.open());
        let during = format!("{part:?}, in a pass,");
        within(RECOVERY, &format!("the new rules are in force, after {during}"), || {
            counters.plane().run("iptables-save -t filter").stdout.contains(&network).then_some(())
        });
        ground.comes_back(&during, &domain, BOOT);
        tell(&during, began, &sampler);
        counters.saw_nothing_denied(&during);
    }
    counters.saw_what_is_allowed();

    // The holder, and with it the plane: closed until the firewall has joined the new one, which waits until it is counted
    // what leaves there.
    proxy.calm();
    let gate = proxy.hold(1);
    let began = Instant::now();
    kill(platform.docker(), &format!("{}-filtered-users", platform.prefix));
    gate.reached();
    counters.follow(&platform);
    sampler.has_sampled(50);
    let forwards = counters.plane().run("cat /proc/sys/net/ipv4/ip_forward").stdout;
    assert_eq!(forwards.trim(), "0", "without a firewall nothing is forwarded");
    gate.open();
    ground.comes_back("the plane itself", DOMAIN, BOOT);
    tell("the plane itself", began, &sampler);
    counters.saw_nothing_denied("the plane itself");

    daemon.end();
    within(RECOVERY, "nothing is left to do", || (platform.berth(&["plan"]).code == Some(0)).then_some(()));
}

fn tell(part: &str, began: Instant, sampler: &Sampler) {
    eprintln!("{part}: back after {:.1} s; {}", began.elapsed().as_secs_f64(), sampler.outage());
}

/// Kills a container's first process, as the kernel would when memory runs out, and waits until it has another.
#[track_caller]
fn kill(docker: &Docker, container: &str) {
    let pid = end(docker, container);
    is_back(docker, container, pid);
}

/// Kills a container's first process, and returns what it was.
#[track_caller]
fn end(docker: &Docker, container: &str) -> u32 {
    let pid = docker.container(container).pid;
    assert!(pid > 1, "{container} runs");
    send(pid, Signal::KILL);
    pid
}

#[track_caller]
fn is_back(docker: &Docker, container: &str, before: u32) {
    within(RECOVERY, &format!("{container} runs again"), || {
        let now = docker.find(container)?;
        (now.runs() && now.pid > 1 && now.pid != before).then_some(())
    });
}

/// Place where it all happens.
struct Ground<'a> {
    lab: &'a Lab,
    platform: &'a Platform,
    sampler: &'a Sampler,
}

impl Ground<'_> {
    /// Lets a part die, does something right after, and waits until it runs again.
    #[track_caller]
    fn dies(&self, part: Part, then: impl FnOnce()) {
        let container = match part {
            Part::Service(end) => format!("{}-users-{end}", self.platform.prefix),
            Part::App => self.platform.name(APP),
            Part::Sampler => self.platform.name(SAMPLER),
            Part::Engine => {
                self.lab.engine().kill();
                then();
                self.sampler.has_sampled(50);
                return self.lab.engine().restart();
            }
        };
        let pid = end(self.platform.docker(), &container);
        then();
        is_back(self.platform.docker(), &container, pid);
    }

    /// Waits until everything works: from a server, and for a visitor of a domain.
    #[track_caller]
    fn comes_back(&self, after: &str, domain: &str, deadline: Duration) {
        let server = self.platform.name(SAMPLER);
        let cache = format!("{}4", network(self.platform, "users"));
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
            let host = format!("Host: {domain}");
            let page = ["-o", "/dev/null", "-w", "%{http_code}", "-H", &host, &format!("http://{PUBLIC}/")];
            (self.lab.visit(&page).stdout == "200").then_some(())
        });
    }
}

/// The beginning of the addresses in one of the platform's networks.
fn network(platform: &Platform, name: &str) -> String {
    let settings = platform.state.read("platform.toml");
    let beginning = format!("{name} = ");
    let line = settings.lines().find(|line| line.starts_with(&beginning)).expect("a subnet");
    line.split('"').nth(1).and_then(|subnet| subnet.strip_suffix("0/24")).expect("a subnet").to_owned()
}
