//! Root in a server takes all that it can get of what the kernel counts for users, and a neighbour and the host still get theirs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_tests::process::run;
use berth_tests::{Ceiling, Docker};

/// Kinds of things that the kernel counts for whoever made a namespace, as [`TAKER`] knows it.
pub(crate) const OF_THE_MAKER: &[&str] = &["inotify", "fanotify", "timers", "queues", "namespaces"];

/// Kinds that it counts for the user itself.
pub(crate) const OF_THE_USER: &[&str] = &["descriptors", "pipes", "epoll"];

/// Takes what its first argument names until the kernel refuses, or as many as its second one says. It prints how many it got and why
/// it ended, and holds them until standard input ends.
///
/// - Descriptors are under way, sent and not received. The kernel refuses those of a process whose user has more of them than that process
///   may have open, so each has the same limit here.
/// - Past its limit a user still gets pipes, of two pages instead of sixteen.
const TAKER: &str = r#"
use Socket;
my ($kind, $most) = @ARGV;
my $numbers = { x86_64 => { inotify => 294, fanotify => 300, timers => 222, queues => 240, unlink => 241, namespaces => 272,
        epoll => 291, control => 233, event => 290, limit => 302, send => 46 },
    aarch64 => { inotify => 26, fanotify => 262, timers => 107, queues => 180, unlink => 181, namespaces => 97,
        epoll => 20, control => 21, event => 19, limit => 261, send => 211 } }->{`uname -m` =~ s/\s//gr};
my ($got, $why, @held) = (0);
sub may_open { my $limit = pack("QQ", $_[0], $_[0]); syscall($numbers->{limit}, 0, 7, $limit, 0) == 0 or die "limit: $!"; }
my %take = (
    inotify => sub { syscall($numbers->{inotify}, 0) },
    fanotify => sub { syscall($numbers->{fanotify}, 0x200, 0) },
    timers => sub { my $timer = pack("i", 0); syscall($numbers->{timers}, 1, 0, $timer) },
    queues => sub {
        my $name = "berth-$$-$got";
        return -1 if (my $answer = syscall($numbers->{queues}, $name, 66, 0600, 0)) < 0;
        # A queue without a name lasts as long as its descriptor, and doesn't outlive this program.
        syscall($numbers->{unlink}, $name);
        $answer;
    },
    namespaces => sub {
        my $answer = syscall($numbers->{namespaces}, 0x04000000);
        if ($answer == 0) { open(my $space, "<", "/proc/self/ns/uts") or return -1; push @held, $space; }
        $answer;
    },
    descriptors => sub {
        if ($got % 8 == 0) { socketpair(my $one, my $other, AF_UNIX, SOCK_DGRAM, 0) or return -1; push @held, $one, $other; }
        my ($byte, $sent) = ("x", 100);
        my $part = pack("PQ", $byte, 1);
        my $control = pack("Qii i*", 16 + 4 * $sent, 1, 1, (fileno(STDERR)) x $sent);
        my $message = pack("QQPQPQQ", 0, 0, $part, 1, $control, length($control), 0);
        syscall($numbers->{send}, fileno($held[-2]), $message, 0x40);
    },
    pipes => sub {
        pipe(my $out, my $in) or return -1;
        push @held, $out, $in;
        $! = 0;
        fcntl($in, 1032, 0) >= 65536 ? 0 : -1;
    },
    epoll => sub {
        if (!@held) { push @held, map { syscall($numbers->{event}, 0, 0) } 1 .. 1000; }
        if ($got % 1000 == 0) { push @held, syscall($numbers->{epoll}, 0); }
        my $event = pack("LLLL", 1, 0, 0, 0);
        syscall($numbers->{control}, $held[-1], 1, $held[$got % 1000], $event);
    },
);
$| = 1;
may_open($kind eq "descriptors" ? 2000 : 8000) if $kind =~ /descriptors|pipes|epoll/;
while ($got < $most) {
    if ($take{$kind}->() < 0) { $why = $! || "less than asked for"; last; }
    $got++;
}
print "$got ", $why // "enough", "\n";
<STDIN>;
"#;

/// More than any server may have of anything here.
const ALL: &str = "1000000";

/// As many as a neighbour wants.
const FEW: &str = "3";

pub(super) fn takes_only_its_own(docker: &Docker, attacker: &str, neighbour: &str, kinds: &[&str]) {
    // By default a share of the machine's memory, which on a large one is more than a server may have.
    let _watches = kinds.contains(&"epoll").then(|| Ceiling::at("fs/epoll/max_user_watches", "200000"));
    let _pages = kinds.contains(&"pipes").then(|| Ceiling::at("fs/pipe-user-pages-soft", "16384"));
    for kind in kinds {
        let hog = Hog::start(docker, attacker, kind);
        assert!(!hog.got.ends_with("enough") && !hog.got.starts_with("0 "), "{kind} of {attacker}: {}", hog.got);
        let beside = docker.run(&["exec", neighbour, "perl", "-e", TAKER, kind, FEW]);
        assert_eq!(beside, "3 enough", "{kind} of the neighbour, while {attacker} has {}", hog.got);
        let host = run(Command::new("perl").args(["-e", TAKER, kind, FEW]), Duration::from_secs(20));
        assert_eq!(host.stdout.trim(), "3 enough", "{kind} of the host, while {attacker} has {}", hog.got);
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
