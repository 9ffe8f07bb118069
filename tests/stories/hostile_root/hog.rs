//! Root in a server takes all that it can get of what the kernel counts for users, and a neighbour and the host still get theirs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_tests::process::run;
use berth_tests::{Ceiling, Docker};

/// Kinds of things that the kernel counts for whoever made a namespace, as the doctor's program knows it.
pub(crate) const OF_THE_MAKER: &[&str] = &["inotify", "fanotify", "timers", "queues", "namespaces"];

/// Kinds that it counts for the user itself.
pub(crate) const OF_THE_USER: &[&str] = &["descriptors", "pipes", "epoll"];

/// The doctor's program for canaries, whose `hold` takes as much of a kind as its user gets.
const TAKER: &str = include_str!("../../../templates/doctor/hostile.pl");

/// More than any server may have of anything here.
const ALL: &str = "1000000";

/// Seconds for which nobody's boot takes longer.
const FOR_LONG: &str = "3600";

/// As many as a neighbour wants.
const FEW: &str = "3";

pub(super) fn takes_only_its_own(docker: &Docker, attacker: &str, neighbour: &str, kinds: &[&str]) {
    // By default a share of the machine's memory, which on a large one is more than a server may have.
    let _watches = kinds.contains(&"epoll").then(|| Ceiling::at("fs/epoll/max_user_watches", "200000"));
    let _pages = kinds.contains(&"pipes").then(|| Ceiling::at("fs/pipe-user-pages-soft", "16384"));
    for kind in kinds {
        let hog = Hog::start(docker, attacker, kind);
        assert!(hog.is_full() && !hog.got.starts_with("0 "), "{kind} of {attacker}: {}", hog.got);
        let take_few = ["perl", "-e", TAKER, "--", "hold", kind, FEW];
        let beside = docker.run(&[&["exec", neighbour], &take_few[..]].concat());
        assert_eq!(beside, "got 3 enough", "{kind} of the neighbour, while {attacker} has {}", hog.got);
        let [perl, arguments @ ..] = take_few;
        let host = run(Command::new(perl).args(arguments), Duration::from_secs(20));
        assert_eq!(host.stdout.trim(), "got 3 enough", "{kind} of the host, while {attacker} has {}", hog.got);
    }
}

/// A process in a server that holds what it took.
pub(crate) struct Hog {
    process: Child,
    pub(crate) got: String,
}

impl Hog {
    pub(crate) fn start(docker: &Docker, server: &str, kind: &str) -> Self {
        let mut process = docker
            .command(&["exec", "-i", server, "perl", "-e", TAKER, "--", "hold", kind, ALL, FOR_LONG])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut got = String::new();
        let output = process.stdout.as_mut().expect("its output");
        BufReader::new(output).read_line(&mut got).expect("a line");
        let got = got.trim().strip_prefix("got ").unwrap_or_default().to_owned();
        Self { process, got }
    }

    /// True if it was refused in the end.
    pub(crate) fn is_full(&self) -> bool {
        !self.got.is_empty() && !self.got.ends_with("enough")
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
