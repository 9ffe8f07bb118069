# Run by `berth doctor` in a canary, as its root: sends or takes what it is told to, and says what came of it. Which
# attempts there are, and what they prove, is not known here. Only perl-base is needed, which every Debian and Ubuntu has.
#
#   tcp ADDRESS PORT TOKEN [SOURCE]     says `connected` when it could connect, and `answered` when an answer came
#   udp ADDRESS PORT TOKEN [SOURCE]     says `sent`, and `answered` when an answer came
#   ask ADDRESS NAME COUNT              asks a name server: says `answers N`, and `address A` for each one in the last
#   frames INTERFACE                    sends frames from standard input: a count (4 bytes), then length (2) and frame
#   hold KIND MOST [SECONDS]            takes what the kernel counts until it refuses, or so many: says `got N REASON`, where
#                                       the reason is `enough` if it was not refused, and holds them until a line or the end
#                                       comes on standard input, for a minute at most, or so many seconds
use strict;
use warnings;
use Socket qw(:all);
use Time::HiRes qw(time);

$| = 1;
my ($verb, @rest) = @ARGV;
my %verbs = (tcp => \&tcp, udp => \&udp, ask => \&ask, frames => \&frames, hold => \&hold);
$verbs{$verb}->(@rest);

sub resolved {
    my ($host, $port, $type) = @_;
    my ($error, @found) = getaddrinfo($host, $port, { flags => AI_NUMERICHOST, socktype => $type });
    die "no such address: $error\n" if $error;
    return $found[0];
}

sub opened {
    my ($to, $source) = @_;
    socket(my $socket, $to->{family}, $to->{socktype}, $to->{protocol}) or die "socket: $!\n";
    if ($source) {
        my $from = resolved($source, 0, $to->{socktype});
        bind($socket, $from->{addr}) or die "bind: $!\n";
    }
    return $socket;
}

# Whether there is something to read within so many seconds.
sub readable {
    my ($socket, $seconds) = @_;
    my $bits = '';
    vec($bits, fileno($socket), 1) = 1;
    return select($bits, undef, undef, $seconds);
}

sub tcp {
    my ($host, $port, $token, $source) = @_;
    my $to = resolved($host, $port, SOCK_STREAM);
    my $socket = opened($to, $source);
    local $SIG{ALRM} = sub { print "silence\n"; exit 0 };
    alarm 2;
    connect($socket, $to->{addr}) or do { print "refused: $!\n"; return };
    print "connected\n";
    syswrite($socket, "GET /v2/ HTTP/1.0\r\nHost: $host\r\nX-Berth: $token\r\n\r\n");
    my $read = sysread($socket, my $answer, 4096);
    print 'answered ' . substr($answer, 0, 60) =~ s/[^ -~].*//sr . "\n" if $read;
}

sub udp {
    my ($host, $port, $token, $source) = @_;
    my $to = resolved($host, $port, SOCK_DGRAM);
    my $socket = opened($to, $source);
    setsockopt($socket, SOL_SOCKET, SO_BROADCAST, 1);
    my $sent = 0;
    for (1 .. 3) {
        my $count = send($socket, $token, 0, $to->{addr});
        defined $count ? $sent++ : print "refused: $!\n";
        select undef, undef, undef, 0.05;
    }
    print "sent $sent\n";
    # A refusal that came back as an ICMP error is read first.
    for (1 .. 3) {
        last unless readable($socket, 0.2);
        defined recv($socket, my $answer, 512, 0) or next;
        print "answered\n";
        last;
    }
}

sub ask {
    my ($server, $name, $count) = @_;
    my $to = resolved($server, 53, SOCK_DGRAM);
    my $socket = opened($to);
    my $question = join('', map { chr(length) . $_ } split /\./, $name) . "\0" . pack('nn', 1, 1);
    my ($answers, $last) = (0, '');
    my $take = sub {
        while (readable($socket, $_[0])) {
            defined recv($socket, my $answer, 4096, MSG_DONTWAIT) or last;
            $answers++;
            $last = $answer;
        }
    };
    for my $number (1 .. $count) {
        send($socket, pack('nnnnnn', $number, 0x0100, 1, 0, 0, 0) . $question, 0, $to->{addr});
        # As fast as it can answer, and no faster: what its queue loses would look like a limit.
        $take->(0.005) if $number % 8 == 0;
    }
    $take->(1);
    print "answers $answers\n";
    # The addresses of the last answer, behind its header and the question that it repeats.
    my $records = length $last ? unpack('x6n', $last) : 0;
    my $at = 12 + length $question;
    for (1 .. $records) {
        last if length $last < $at + 12;
        my ($type, $length) = unpack('x2nx6n', substr($last, $at));
        print 'address ' . inet_ntoa(substr($last, $at + 12, 4)) . "\n" if $type == 1;
        $at += 12 + $length;
    }
}

sub frames {
    my ($interface) = @_;
    binmode STDIN;
    # AF_PACKET, SOCK_RAW; the interface's number is found in sysfs, which shows this namespace's own.
    socket(my $socket, 17, SOCK_RAW, 0) or die "socket: $!\n";
    open(my $file, '<', "/sys/class/net/$interface/ifindex") or die "$interface: $!\n";
    chomp(my $index = <$file>);
    my $link = pack('SnlSCCx8', 17, 0x0003, $index, 0, 0, 0);
    my $count = unpack('N', taken(4));
    my $sent = 0;
    for (1 .. $count) {
        my $frame = taken(unpack('n', taken(2)));
        $sent++ if defined send($socket, $frame, 0, $link);
    }
    print "sent $sent\n";
}

sub taken {
    my ($length) = @_;
    my $bytes = '';
    while (length $bytes < $length) {
        read(STDIN, $bytes, $length - length $bytes, length $bytes) or die "the frames end early\n";
    }
    return $bytes;
}

# Takes as much of a kind as it gets. All of it is gone with this process, however that ends: kinds are made of its own
# descriptors, memory and timers, and of children that wait for its end.
sub hold {
    my ($kind, $most, $seconds) = (@_, 60);
    my $call = calls();
    my $take = taker($kind, $call);
    # Nobody shall lack for long what is held here, also if whoever asked for it is cut off.
    my $late = time + $seconds * 3 / 4;
    alarm $seconds;
    if ($kind =~ /^(?:descriptors|pipes|epoll)$/) {
        my $open = pack('QQ', ($kind eq 'descriptors' ? 2000 : 8000) x 2);
        syscall($call->{limit}, 0, 7, $open, 0) == 0 or die "limit of open files: $!\n";
    }
    my ($got, $why) = (0, 'enough');
    while ($got < $most) {
        die "only $got of $kind in so long a time\n" if time > $late;
        $! = 0;
        if ($take->($got) < 0) { $why = $! || 'less than asked for'; last }
        $got++;
    }
    print "got $got $why\n";
    <STDIN>;
}

# System calls that Perl has no name for.
sub calls {
    my $machine = qx(uname -m) =~ s/\s//gr;
    my $numbers = {
        x86_64 => {
            inotify => 294, watch => 254, fanotify => 300, timer => 222, queue => 240, unlink => 241, namespace => 272,
            epoll => 291, control => 233, event => 290, limit => 302, send => 46, attach => 30, key => 248,
        },
        aarch64 => {
            inotify => 26, watch => 27, fanotify => 262, timer => 107, queue => 180, unlink => 181, namespace => 97,
            epoll => 20, control => 21, event => 19, limit => 261, send => 211, attach => 196, key => 217,
        },
    };
    return $numbers->{$machine} // die "the system calls of $machine have no numbers here\n";
}

# Returns a function that takes one more; its argument says how many there are. It returns less than 0 when it is refused.
sub taker {
    my ($kind, $call) = @_;
    my @held;
    my %takers = (
        inotify => sub { syscall($call->{inotify}, 0) },
        watches => watches($call),
        fanotify => sub { syscall($call->{fanotify}, 0x200, 0) },
        timers => sub { my $timer = pack('i', 0); syscall($call->{timer}, 1, 0, $timer) },
        queues => sub {
            my $name = "berth-$$-$_[0]";
            return -1 if (my $queue = syscall($call->{queue}, $name, 66, 0600, 0)) < 0;
            # A queue without a name lasts as long as its descriptor.
            syscall($call->{unlink}, $name);
            return $queue;
        },
        namespaces => sub {
            return -1 if syscall($call->{namespace}, 0x04000000) < 0;
            open(my $space, '<', '/proc/self/ns/uts') or return -1;
            push @held, $space;
            return 0;
        },
        memory => sub {
            defined(my $segment = shmget(0, 65536, 01600)) or return -1;
            my $locked = shmctl($segment, 11, 0);
            my $why = $!;
            # Removed at once, it lasts as long as it is attached. Perl cuts the address off, so that errno alone tells.
            $! = 0;
            syscall($call->{attach}, $segment, 0, 0);
            my $failed = $!;
            shmctl($segment, 0, 0);
            $! = $locked ? $failed : $why;
            return $! ? -1 : 0;
        },
        processes => children(),
        keys => sub {
            my ($type, $name, $content) = ('user', "berth-$_[0]", 'x');
            syscall($call->{key}, $type, $name, $content, 1, -2);
        },
        # Sent and not received. The kernel refuses those of a process whose user has more of them under way than that
        # process may have open, so each has the same limit here.
        descriptors => sub {
            if ($_[0] % 8 == 0) {
                socketpair(my $one, my $other, AF_UNIX, SOCK_DGRAM, 0) or return -1;
                push @held, $one, $other;
            }
            my ($byte, $sent) = ('x', 100);
            my $part = pack('PQ', $byte, 1);
            my $control = pack('Qii i*', 16 + 4 * $sent, 1, 1, (fileno(STDERR)) x $sent);
            my $message = pack('QQPQPQQ', 0, 0, $part, 1, $control, length($control), 0);
            return syscall($call->{send}, fileno($held[-2]), $message, 0x40);
        },
        # Past its limit a user still gets pipes, of two pages instead of sixteen.
        pipes => sub {
            pipe(my $out, my $in) or return -1;
            push @held, $out, $in;
            $! = 0;
            return fcntl($in, 1032, 0) >= 65536 ? 0 : -1;
        },
        epoll => sub {
            if (!@held) { push @held, map { syscall($call->{event}, 0, 0) } 1 .. 1000 }
            if ($_[0] % 1000 == 0) { push @held, syscall($call->{epoll}, 0) }
            my $event = pack('LLLL', 1, 0, 0, 0);
            return syscall($call->{control}, $held[-1], 1, $held[$_[0] % 1000], $event);
        },
        terminals => sub { sysopen(my $terminal, '/dev/ptmx', 0402) or return -1; push @held, $terminal; 0 },
    );
    return $takers{$kind} // die "$kind is no kind\n";
}

# Watches of files, with as few instances as do.
sub watches {
    my ($call) = @_;
    my ($instance, $next) = (undef, 0);
    my @paths = my @folders = '/usr';
    return sub {
        while ($next == @paths and my $folder = shift @folders) {
            opendir(my $listed, $folder) or next;
            for my $entry (grep { !/^\.\.?$/ } readdir $listed) {
                push @paths, "$folder/$entry";
                push @folders, "$folder/$entry" if !-l "$folder/$entry" && -d _;
            }
        }
        $! = 0;
        if (!defined $instance or $next == @paths or $next == 5000) {
            return -1 if ($instance = syscall($call->{inotify}, 0)) < 0;
            $next = 0;
        }
        # Of the thing itself, also where it is a link: the same file twice would be one watch.
        return syscall($call->{watch}, $instance, $paths[$next++], 0x02000400);
    };
}

# Children that do nothing until this process has ended.
sub children {
    pipe(my $end, my $kept) or die "pipe: $!\n";
    return sub {
        defined(my $child = fork) or return -1;
        return 0 if $child;
        close $kept;
        sysread($end, my $byte, 1);
        exit 0;
    };
}
