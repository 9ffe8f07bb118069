# Run by `berth doctor` in a canary, as its root: sends what it is told to, and says what came back. Which attempts there
# are, and what they prove, is not known here. Only perl-base is needed, which every Debian and Ubuntu has.
#
#   tcp ADDRESS PORT TOKEN [SOURCE]     says `connected` when it could connect, and `answered` when an answer came
#   udp ADDRESS PORT TOKEN [SOURCE]     says `sent`, and `answered` when an answer came
#   ask ADDRESS NAME COUNT              asks a name server: says `answers N`, and `address A` for each one in the last
#   frames INTERFACE                    sends frames from standard input: a count (4 bytes), then length (2) and frame
use strict;
use warnings;
use Socket qw(:all);
use Time::HiRes qw(time);

$| = 1;
my ($verb, @rest) = @ARGV;
my %verbs = (tcp => \&tcp, udp => \&udp, ask => \&ask, frames => \&frames);
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
