//! Root in a server takes all that it can get of what the kernel counts for users, and a neighbour and the host still get theirs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_tests::Docker;
use berth_tests::process::run;

/// What the kernel counts, as `taker.pl` knows it.
const KINDS: [&str; 4] = ["inotify", "timers", "queues", "namespaces"];

/// Takes what its first argument names until the kernel refuses, or as many as its second one says. It prints how many it got and why
/// it ended, and holds them until standard input ends.
const TAKER: &str = r#"
my ($kind, $most) = @ARGV;
my $numbers = { x86_64 => { inotify => 294, timers => 222, queues => 240, unlink => 241, namespaces => 272 },
    aarch64 => { inotify => 26, timers => 107, queues => 180, unlink => 181, namespaces => 97 } }->{`uname -m` =~ s/\s//gr};
my $number = $numbers->{$kind};
my ($got, @held) = (0);
$| = 1;
while ($got < $most) {
    my ($timer, $name) = (pack("i", 0), "berth-$$-$got");
    my $answer = $kind eq "inotify" ? syscall($number, 0)
        : $kind eq "timers" ? syscall($number, 1, 0, $timer)
        : $kind eq "queues" ? syscall($number, $name, 66, 0600, 0)
        : syscall($number, 0x04000000);
    last if $answer < 0;
    # A queue without a name lasts as long as its descriptor, and doesn't outlive this program.
    syscall($numbers->{unlink}, $name) if $kind eq "queues";
    if ($kind eq "namespaces") { open(my $space, "<", "/proc/self/ns/uts") or last; push @held, $space; }
    $got++;
}
print "$got ", $got < $most ? "$!" : "enough", "\n";
<STDIN>;
"#;

/// More than any server may have of anything here.
const ALL: &str = "1000000";

/// As many as a neighbour wants.
const FEW: &str = "3";

pub(super) fn takes_only_its_own(docker: &Docker, attacker: &str, neighbour: &str) {
    for kind in KINDS {
        let hog = Hog::start(docker, attacker, kind);
        assert!(!hog.got.ends_with("enough") && !hog.got.starts_with("0 "), "{kind} of {attacker}: {}", hog.got);
        let beside = docker.run(&["exec", neighbour, "perl", "-e", TAKER, kind, FEW]);
        assert_eq!(beside, "3 enough", "{kind} of the neighbour, while {attacker} has {}", hog.got);
        let host = run(Command::new("perl").args(["-e", TAKER, kind, FEW]), Duration::from_secs(20));
        assert_eq!(host.stdout.trim(), "3 enough", "{kind} of the host, while {attacker} has {}", hog.got);
    }
}

/// A process in a server that holds what it took.
struct Hog {
    process: Child,
    got: String,
}

impl Hog {
    fn start(docker: &Docker, server: &str, kind: &str) -> Self {
        let mut process = docker
            .command(&["exec", "-i", server, "perl", "-e", TAKER, kind, ALL])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut got = String::new();
        let output = process.stdout.as_mut().expect("its output");
        BufReader::new(output).read_line(&mut got).expect("a line");
        Self { process, got: got.trim().to_owned() }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
