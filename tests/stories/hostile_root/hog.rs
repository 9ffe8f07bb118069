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

/// Its word when it has them.
pub(crate) const ENOUGH: &str = "got 3 enough";

pub(super) fn takes_only_its_own(docker: &Docker, attacker: &str, neighbour: &str, kinds: &[&str]) {
    // By default a share of the machine's memory, which on a large one is more than a server may have.
    let _watches = kinds.contains(&"epoll").then(|| Ceiling::at("fs/epoll/max_user_watches", "200000"));
    let _pages = kinds.contains(&"pipes").then(|| Ceiling::at("fs/pipe-user-pages-soft", "16384"));
    for kind in kinds {
        let hog = Hog::start(docker, attacker, kind);
        assert!(hog.is_full() && !hog.got.starts_with("0 "), "{kind} of {attacker}: {}", hog.got);
        let beside = few(docker, neighbour, kind);
        assert_eq!(beside, ENOUGH, "{kind} of the neighbour, while {attacker} has {}", hog.got);
        assert_eq!(few_of_host(kind), ENOUGH, "{kind} of the host, while {attacker} has {}", hog.got);
    }
}

/// What a server says that takes a few of a kind.
pub(crate) fn few(docker: &Docker, server: &str, kind: &str) -> String {
    let ran = docker.attempt(&["exec", server, "perl", "-e", TAKER, "--", "hold", kind, FEW]);
    ran.stdout.trim().to_owned()
}

/// What the host's root says that does.
pub(crate) fn few_of_host(kind: &str) -> String {
    let ran = run(Command::new("perl").args(["-e", TAKER, "--", "hold", kind, FEW]), Duration::from_secs(20));
    ran.stdout.trim().to_owned()
}

/// A process in a server that holds what it took.
pub(crate) struct Hog {
    process: Child,
    pub(crate) got: String,
}

impl Hog {
    /// Takes all that there is.
    pub(crate) fn start(docker: &Docker, server: &str, kind: &str) -> Self {
        Self::of_size(docker, server, kind, ALL)
    }

    /// Takes so many, or all that there is.
    pub(crate) fn of_size(docker: &Docker, server: &str, kind: &str, most: &str) -> Self {
        let mut process = docker
            .command(&["exec", "-i", server, "perl", "-e", TAKER, "--", "hold", kind, most, FOR_LONG])
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
