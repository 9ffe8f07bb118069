//! Checks that what was confirmed is in force: whatever somebody changes by hand, wherever a change is cut off, and
//! from the first packet after a start of the machine on.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use berth_tests::lab::{PUBLIC, WEBSITE};
use berth_tests::process::{source_tree, within};
use berth_tests::{Lab, Platform, Ran, World, eventually, run};

crate::stories! { what_is_changed_by_hand_is_put_back, the_host_is_closed_from_the_first_packet_on }

/// A server with Docker in it takes some seconds to come up, and longer on a busy machine.
const BOOT: Duration = Duration::from_secs(180);
const SIZE: &str = "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n";
const ONE: u32 = 1;
const ALTERED: &str = "what is in force is not what was confirmed";

fn what_is_changed_by_hand_is_put_back(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |first| {
        first.server("one", ONE, SIZE);
    });
    platform.apply();
    let plane = Plane::of(&platform);
    let confirmed = plane.rules();
    let host = || lab.host().shell("iptables-save -t filter | grep -v '^#' | sed 's/ \\[[0-9:]*\\]//'").good().stdout;
    let machine = host();
    let comes_back = |what: &str| {
        platform.berth(&["plan"]).coded(2).says(ALTERED);
        platform.apply();
        assert_eq!(plane.rules(), confirmed, "{what}");
        assert_eq!(host(), machine, "{what}");
        platform.settled();
    };
    platform.settled();

    // By hand, in the plane.
    for (what, script) in [
        ("flushed", "iptables -F; iptables -P FORWARD ACCEPT"),
        ("one rule more", "iptables -I FORWARD 1 -j ACCEPT"),
        ("the marker gone as well", "for t in raw nat filter; do iptables -t $t -F; iptables -t $t -X; done"),
        ("IPv6", "ip6tables -P FORWARD ACCEPT"),
        ("forwarding", "echo 0 > /proc/sys/net/ipv4/ip_forward"),
    ] {
        plane.run(script);
        comes_back(what);
    }
    // The resolver's, with the gateway's own program.
    let gateway = format!("{}-users-firewall", platform.prefix);
    let other = "sed s/gateway.berth/portal.berth/ /etc/berth/dnsmasq.conf > /run/other && /usr/lib/berth/load dns /run/other";
    platform.docker().run(&["exec", &gateway, "sh", "-c", other]);
    comes_back("names");
    platform.docker().shell(&platform.name(ONE), "getent hosts gateway.berth.internal").good();
    // On the machine.
    let chain = |end: &str| format!("berth-{}-{end}", platform.prefix);
    for (what, script) in [
        ("emptied", format!("iptables -F {}", chain("input"))),
        ("a rule more", format!("iptables -I {} 1 -j RETURN", chain("forward"))),
        ("nothing leads there", format!("iptables -D INPUT -i br-{} -j {}", platform.prefix, chain("input"))),
    ] {
        lab.host().shell(&script).good();
        comes_back(what);
    }

    // A change that is cut off after its rules were loaded, and then not wanted any more. Names don't get through with
    // them, so that the probes take their time.
    let templates = platform.home().join("templates");
    let replace = |path: &str, from: &str, to: &str| {
        let _ = fs::remove_dir_all(&templates);
        let text = fs::read_to_string(source_tree().join("templates").join(path)).expect(path);
        assert!(text.contains(from), "{path} has {from}");
        let file = templates.join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("the templates' folder");
        fs::write(&file, text.replacen(from, to, 1)).expect("a template");
    };
    let apply = || {
        let mut command = platform.berth_command(&["--templates", &templates.to_string_lossy(), "apply"]);
        command.env_remove("BERTH_LOG");
        command
    };
    replace("firewall/rules.v4", "--dport 53 -g DNS", "--dport 53 -j DROP");
    let pass = platform.stays(&mut apply());
    // Not while they are only being checked, in chains that no packet comes through.
    let is_new = |line: &str| line.starts_with("-A INPUT ") && line.ends_with("--dport 53 -j DROP");
    eventually("the new rules are loaded", || plane.rules().lines().any(is_new).then_some(()));
    pass.kill();
    assert_ne!(plane.rules(), confirmed);
    comes_back("a change of the gateway that is cut off");

    // The same on the machine: the program that leads packets into the chains hangs.
    let programs = platform.home().join("programs");
    let put = |name: &str, script: &str| {
        let _ = fs::remove_dir_all(&programs);
        fs::create_dir_all(&programs).expect("a folder");
        let path = programs.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    };
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a PATH"));
    replace("host/host.v4", "COMMIT", "-A {{ forward }} -d 198.51.100.1/32 -j DROP\nCOMMIT");
    put("iptables", "exec sleep 60");
    let pass = platform.stays(apply().env("PATH", &path));
    eventually("the new chains are loaded", || host().contains("198.51.100.1").then_some(()));
    pass.kill();
    comes_back("a change of the machine's part that is cut off");

    // And where it fails at each step, it goes back by itself.
    for (what, name, script) in [
        ("what loads fails after it has loaded", "iptables-restore",
         "/usr/sbin/iptables-restore \"$@\" || exit; case $* in *--test*) ;; *) ! mkdir \"$0.once\" 2> /dev/null;; esac"),
        ("what leads in fails", "iptables", "! mkdir \"$0.once\" 2> /dev/null || exit 1; exec /usr/sbin/iptables \"$@\""),
    ] {
        put(name, script);
        let ran = run(apply().env("PATH", &path), Duration::from_secs(120)).coded(1);
        assert!(ran.words().contains("The last one is in force again"), "{what}: {ran}");
        assert_eq!(host(), machine, "{what}");
        platform.settled();
    }
}

/// Writes down every 20 ms whether it reaches the machine's port 22, and the website.
const PROGRAM: &str = r#"use strict; use Socket; use Fcntl; use Time::HiRes qw(sleep); $| = 1;
open(my $log, '>>', '/home/samples'); select($log); $| = 1;
sub opens { my ($host, $port) = @_; socket(my $s, PF_INET, SOCK_STREAM, 0) or die; fcntl($s, F_SETFL, O_NONBLOCK);
    connect($s, sockaddr_in($port, inet_aton($host))); my $w = ''; vec($w, fileno($s), 1) = 1;
    select(undef, $w, undef, 0.1); defined(getpeername($s)) ? 1 : 0 }
while (1) { print opens($ARGV[0], 22), ' ', opens($ARGV[1], 80), "\n"; sleep 0.02 }
"#;
const UNIT: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/perl /usr/local/sampler.pl HOST WEBSITE\nRestart=always\n\
                    [Install]\nWantedBy=sysinit.target\n";

fn the_host_is_closed_from_the_first_packet_on(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |first| {
        first.server("one", ONE, SIZE);
    });
    let ssh = Listener::at_ssh(lab);
    platform.apply();
    let inside = |script: &str| platform.docker().shell(&platform.name(ONE), script);
    let unit = UNIT.replace("HOST", &PUBLIC.to_string()).replace("WEBSITE", &WEBSITE.to_string());
    within(BOOT, "the server is up", || inside("systemctl is-active basic.target").is_good().then_some(()));
    inside(&format!(
        "cat > /usr/local/sampler.pl <<'END'\n{PROGRAM}END\n\
         cat > /etc/systemd/system/sampler.service <<'END'\n{unit}END\n\
         systemctl daemon-reload && systemctl enable --now sampler"
    ))
    .good();
    let samples = || inside("cat /home/samples").stdout;
    let reaches = |what: &str, wanted: &str| {
        within(BOOT, what, || samples().lines().any(|line| line.ends_with(wanted)).then_some(()));
    };
    reaches("it reaches the internet", " 1");
    assert_eq!(ssh.visits(), 0);
    let clear = "iptables -P INPUT ACCEPT; iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X";

    // That it would be noticed: the machine's rules go, and nothing puts them back.
    lab.host().shell("iptables -F INPUT").good();
    eventually("the machine is reached", || (ssh.visits() > 0).then_some(()));
    platform.apply();
    platform.settled();

    // The machine ends and starts again. No Berth runs, and none has put anything in order.
    inside("systemctl stop sampler; rm /home/samples; sync").good();
    let before = ssh.visits();
    lab.engine().lose_power();
    lab.host().shell(clear).good();
    lab.engine().restart();
    let gateway = format!("{}-users-firewall", platform.prefix);
    within(BOOT, "the engine has started the server", || platform.find(ONE).filter(|one| one.runs()));
    if !platform.docker().find(&gateway).is_some_and(|found| found.runs()) {
        // The engine promises no order, and doesn't try again (docs/operations.md).
        platform.docker().run(&["start", &gateway]);
    }
    // One that came up before the plane has no link until a pass, or until the engine starts it once more.
    platform.docker().run(&["restart", &platform.name(ONE)]);
    reaches("it reaches the internet again, with Berth down", " 1");
    assert_eq!(ssh.visits(), before, "the machine's port 22 was reached");
    let told = samples();
    let opened = told.lines().filter(|line| line.starts_with("1 ")).count();
    assert_eq!(opened, 0, "of {} samples", told.lines().count());

    platform.apply();
    platform.settled();
    assert_eq!(ssh.visits(), before);

    // Where the host's part can't be put in force, there is no plane, and no way out of a server.
    let kept = fs::read_to_string(format!("{}/{}.json", berth_link::HOST_RULES, platform.prefix)).expect("what is kept");
    fs::write(format!("{}/{}.json", berth_link::HOST_RULES, platform.prefix), kept.replace("DROP", "NOWHERE")).expect("a file");
    let holder = format!("{}-filtered-users", platform.prefix);
    platform.docker().run(&["stop", &holder]);
    platform.docker().attempt(&["start", &holder]).says("cannot put the host's rules in force");
    // A pass writes anew what is kept.
    platform.berth(&["apply"]);
    within(BOOT, "a pass mends it", || platform.berth(&["apply"]).is_good().then_some(()));
    platform.settled();
    reaches("it reaches the internet after all", " 1");
    assert_eq!(ssh.visits(), before);
}

/// Somebody at the machine's port 22, who counts visits from servers.
struct Listener {
    visits: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Listener {
    fn at_ssh(lab: &Lab) -> Self {
        let listener = lab.host().enter(|| TcpListener::bind((PUBLIC, 22))).expect("listen");
        listener.set_nonblocking(true).expect("set a listener");
        let (visits, ended) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, told) = (Arc::clone(&visits), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok(_) => drop(counted.fetch_add(1, Ordering::Relaxed)),
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Self { visits, ended, thread: Some(thread) }
    }

    fn visits(&self) -> u64 {
        self.visits.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The plane's network namespace.
struct Plane {
    pid: u32,
}

impl Plane {
    fn of(platform: &Platform) -> Self {
        Self { pid: platform.docker().container(&format!("{}-filtered-users", platform.prefix)).pid }
    }

    #[track_caller]
    fn run(&self, script: &str) -> Ran {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid)).args(["sh", "-euc", script]);
        run(&mut command, Duration::from_secs(20)).good()
    }

    /// The rules in force, and whether anything is forwarded.
    fn rules(&self) -> String {
        let script = "iptables-save | grep -v '^#' | sed 's/ \\[[0-9:]*\\]//'; ip6tables-save -t filter | grep '^:' | sed 's/ \\[.*//'; \
                      cat /proc/sys/net/ipv4/ip_forward";
        self.run(script).stdout
    }
}
