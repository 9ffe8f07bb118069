//! A hostile server: from the first instant of each of its starts it tries what it may reach and what it may not.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use berth_tests::Platform;
use berth_tests::lab::{DENIED, PUBLIC, WEBSITE};
use berth_tests::process::within;

use super::{BOOT, SAMPLER, kill, network};

/// Every 20 ms: a datagram and the beginning of a connection to each address that is denied, and a connection to an
/// allowed one, of which it writes down when it was and whether it worked. `/10` is every tenth time: what the gateway
/// lets pass and the host doesn't uses up the server's connections.
const PROGRAM: &str = r#"use strict; use Socket; use Fcntl; use Time::HiRes qw(time sleep); $| = 1;
my ($allowed, @denied) = map { m{^(.+):(\d+)(?:/(\d+))?$} or die; [$1, $2, $3 || 1] } @ARGV;
sub opened { socket(my $s, PF_INET, SOCK_STREAM, 0) or die; fcntl($s, F_SETFL, O_NONBLOCK);
    connect($s, sockaddr_in($_[1], inet_aton($_[0]))); $s }
socket(my $datagrams, PF_INET, SOCK_DGRAM, 0) or die;
for (my $round = 0; ; $round++) {
    my @pending = map { send($datagrams, 'x', 0, sockaddr_in(4444, inet_aton($_->[0]))); opened(@$_) }
        grep { $round % $_->[2] == 0 } @denied;
    my $s = opened(@$allowed); my $w = ''; vec($w, fileno($s), 1) = 1;
    my $ready = select(undef, $w, undef, 0.25);
    my $worked = $ready && unpack('i', getsockopt($s, SOL_SOCKET, SO_ERROR)) == 0;
    printf "%.3f %d\n", time, $worked ? 1 : 0;
    sleep 0.02;
}"#;

/// The program in the server, by what it has written down.
pub(super) struct Sampler {
    log: PathBuf,
    /// Samples before this one have been told of.
    told: std::cell::Cell<usize>,
}

impl Sampler {
    /// Puts it in the place of the server's first program, which it becomes once the sampling has begun, and starts the
    /// server again.
    pub(super) fn start(platform: &Platform) -> Self {
        let (docker, server) = (platform.docker(), platform.name(SAMPLER));
        let users = network(platform, "users");
        let mut targets = vec![format!("{WEBSITE}:80")];
        targets.extend(DENIED.map(|address| format!("{address}:80")));
        // A neighbour, and Caddy.
        targets.extend([format!("{users}17:80"), format!("{users}2:80")]);
        // The host: at its end of the uplink, where it publishes a port and where not, and at its public address.
        let host = format!("{}1", network(platform, "external"));
        targets.extend([format!("{host}:22"), format!("{host}:80"), format!("{PUBLIC}:22/10")]);
        let folder = berth_tests::ground::scratch();
        // The console's end, which systemd brings about when it begins, is not for the sampler.
        let init = format!(
            "#!/bin/sh\ntrap '' HUP\nsetsid perl /usr/local/lib/sampler.pl {} </dev/null >>/apps/samples 2>&1 &\n\
             exec /lib/systemd/systemd \"$@\"\n",
            targets.join(" ")
        );
        for (name, text) in [("sampler.pl", PROGRAM), ("init.sh", &init)] {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            docker.run(&["cp", &path.to_string_lossy(), &format!("{server}:/usr/local/lib/{name}")]);
        }
        docker.shell(&server, "rm /sbin/init && cp /usr/local/lib/init.sh /sbin/init && chmod 755 /sbin/init").good();
        let volume = docker.run(&["volume", "inspect", "-f", "{{.Mountpoint}}", &format!("{server}-apps")]);
        let sampler = Self { log: PathBuf::from(volume).join("samples"), told: std::cell::Cell::new(0) };
        kill(docker, &server);
        within(BOOT, "it samples", || (!sampler.samples().is_empty()).then_some(()));
        sampler
    }

    fn samples(&self) -> Vec<(f64, bool)> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        // The last line may be half written, and so may be the one at which it was killed.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let sample = |line: &str| {
            let (at, worked) = line.split_once(' ')?;
            Some((at.parse().ok()?, worked == "1"))
        };
        whole.lines().filter_map(sample).collect()
    }

    /// Waits for more samples.
    #[track_caller]
    pub(super) fn has_sampled(&self, more: usize) {
        let wanted = self.samples().len() + more;
        within(Duration::from_secs(120), "it samples", || (self.samples().len() >= wanted).then_some(()));
    }

    /// Describes how long the allowed address was away since the last call.
    #[track_caller]
    pub(super) fn outage(&self) -> String {
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
