//! Counters where a packet would arrive that had no business there. They lie in tables that the firewall's rules leave
//! alone, or behind the last rule that should have stopped it.

use std::time::Duration;

use berth_tests::lab::{DENIED, PUBLIC, WEBSITE};
use berth_tests::{Lab, Platform, Ran, run};

use super::network;

/// The plane's network namespace.
pub(super) struct Plane {
    pid: u32,
    /// Address whose packets are counted.
    from: String,
}

impl Plane {
    pub(super) fn of(platform: &Platform) -> Self {
        let pid = platform.docker().container(&format!("{}-filtered-users", platform.prefix)).pid;
        Self { pid, from: format!("{}16", network(platform, "users")) }
    }

    pub(super) fn run(&self, script: &str) -> Ran {
        let mut command = std::process::Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid)).args(["sh", "-c", script]);
        run(&mut command, Duration::from_secs(60)).good()
    }

    /// Counts what leaves the plane towards another of its ports.
    fn count(&self) {
        for out in ["s+", "caddy", "router"] {
            self.run(&format!("iptables -w -t mangle -A POSTROUTING -s {} -o {out}", self.from));
        }
    }
}

/// The counters: outside, on the host, and in the plane.
pub(super) struct Counters<'a> {
    lab: &'a Lab,
    plane: Plane,
    /// Those on the host, each as the end of the command that adds or removes it: the table, the chain, and the match.
    host: Vec<(&'static str, &'static str, String)>,
}

impl<'a> Counters<'a> {
    pub(super) fn start(lab: &'a Lab, platform: &Platform) -> Self {
        for address in DENIED.iter().chain(&[WEBSITE]) {
            lab.internet().namespace().shell(&format!("iptables -w -t raw -A PREROUTING -d {address}")).good();
        }
        let bridge = format!("-i br-{}", platform.prefix);
        let own = format!("{}1", network(platform, "external"));
        let host = vec![
            // What the plane should have refused. Others answer that address, and begin nothing.
            ("raw", "PREROUTING", format!("{bridge} -d {own} -p tcp --syn")),
            ("raw", "PREROUTING", format!("{bridge} -d {own} -p udp")),
            // What the host's own chain should have stopped: this is behind it.
            ("filter", "INPUT", bridge),
        ];
        for (table, chain, rule) in &host {
            lab.host().shell(&format!("iptables -w -t {table} -A {chain} {rule}")).good();
        }
        let plane = Plane::of(platform);
        plane.count();
        Self { lab, plane, host }
    }

    /// Counts on in another plane.
    pub(super) fn follow(&mut self, platform: &Platform) {
        self.plane = Plane::of(platform);
        self.plane.count();
    }

    pub(super) fn plane(&self) -> &Plane {
        &self.plane
    }

    #[track_caller]
    pub(super) fn saw_nothing_denied(&self, during: &str) {
        for (what, count) in self.counts() {
            assert!(is_allowed(&what) || count == 0, "{what}, while {during} was away");
        }
    }

    /// And the counters do count.
    #[track_caller]
    pub(super) fn saw_what_is_allowed(&self) {
        let counts = self.counts();
        assert_eq!(counts.len(), DENIED.len() + 1 + self.host.len() + 3, "{counts:?}");
        let website = counts.iter().find(|(what, _)| is_allowed(what)).expect("the website");
        assert!(website.1 > 500, "the counters count: {counts:?}");
        // A port that the platform publishes is open, and the host's others are behind the same rule.
        let chain = self.lab.host().shell("iptables -w -nvxL INPUT").good().stdout;
        assert!(chain.contains("berth-"), "{PUBLIC} is guarded: {chain}");
    }

    /// Each counter's rule and packets.
    fn counts(&self) -> Vec<(String, u64)> {
        let outside = self.lab.internet().namespace().shell("iptables -w -t raw -nvxL PREROUTING").good();
        let mut all = counts(&outside.stdout);
        for (table, chain) in [("raw", "PREROUTING"), ("filter", "INPUT")] {
            let on_host = self.lab.host().shell(&format!("iptables -w -t {table} -nvxL {chain}")).good();
            all.extend(counts(&on_host.stdout).into_iter().filter(|(what, _)| has_no_target(what)));
        }
        all.extend(counts(&self.plane.run("iptables -w -t mangle -nvxL POSTROUTING").stdout));
        all
    }
}

fn is_allowed(what: &str) -> bool {
    what.contains(&WEBSITE.to_string())
}

/// Tells a counter from the rules of others, which lead somewhere: the platform's, and those of newer engines. In the place of a target,
/// after packets and bytes, it has its protocol.
fn has_no_target(listed: &str) -> bool {
    let third = listed.split_whitespace().nth(2);
    third.is_some_and(|word| ["all", "tcp", "udp", "0", "6", "17"].contains(&word))
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
        self.lab.internet().namespace().shell("iptables -w -t raw -F PREROUTING");
        for (table, chain, rule) in &self.host {
            self.lab.host().shell(&format!("iptables -w -t {table} -D {chain} {rule}"));
        }
    }
}
