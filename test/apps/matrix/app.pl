# The matrix program in Perl; README.md says what the steps do.
use strict;
use warnings;
use IO::Socket::IP;
use Socket qw(:all);
$| = 1;
my $name = 'Perl';

sub address { my ($host, $port) = $_[0] =~ /^\[?(.*?)\]?:(\d+)$/; return ($host, $port) }
sub tcp {
    my ($host, $port) = address(shift);
    my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Type => SOCK_STREAM) or die "$@\n";
    print $s "ping\n";
    my $line = <$s>;
    chomp $line;
    return $line;
}
sub wait_for { my $bits = ''; vec($bits, fileno($_[0]), 1) = 1; select($bits, undef, undef, 10) or die "no answer\n" }
sub udp {
    my ($host, $port) = address($_[0]);
    my ($e, $found) = getaddrinfo($host, $port, {socktype => SOCK_DGRAM});
    die "$e\n" if $e;
    socket(my $s, $found->{family}, SOCK_DGRAM, 0) or die "$!\n";
    if ($_[1]) { connect($s, $found->{addr}) && defined send($s, 'ping', 0) or die "$!\n" }
    else { defined send($s, 'ping', 0, $found->{addr}) or die "$!\n" }
    wait_for($s);
    my $source = recv($s, my $data, 100, 0) // die "$!\n";
    return $data if $_[1];
    my ($e2, $from, $service) = getnameinfo($source, NI_NUMERICHOST | NI_NUMERICSERV);
    return "$data from $from:$service";
}
sub dns {
    my ($e, $found) = getaddrinfo($_[0], undef, {family => AF_INET, socktype => SOCK_STREAM});
    die "$e\n" if $e;
    return inet_ntoa((unpack_sockaddr_in($found->{addr}))[1]);
}
sub slurp { open(my $f, '<', $_[0]) or die "$!\n"; local $/; my $t = <$f>; $t =~ s/\s+$//; return $t }
sub names { opendir(my $d, $_[0]) or die "$!\n"; return join ',', sort grep { !/^\.\.?$/ } readdir $d }
sub serve {
    my $l = IO::Socket::IP->new(LocalHost => '::', LocalPort => $_[0], V6Only => 0, Listen => 50, ReuseAddr => 1) or die "$@\n";
    my $ended = 0;
    local $SIG{TERM} = sub { $ended = 1 };
    until ($ended) {
        my $s = $l->accept or next;
        my $peer = $s->peerhost;
        $peer =~ s/^::ffff://;
        sysread $s, my $request, 4096;
        my $body = "$name peer $peer";
        print $s "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        close $s;
    }
    return 'sigterm';
}
my %steps = (
    (map { $_ => \&tcp } qw(tcp tcp6 refused unreachable)),
    udp => sub { udp($_[0], 1) }, udpto => sub { udp($_[0], 0) }, dns => \&dns, srv => sub { '-' },
    read => \&slurp, missing => \&slurp,
    stat => sub { my @s = stat $_[0] or die "$!\n"; sprintf '%d %o', $s[7], $s[2] & 07777 },
    list => \&names,
    write => sub { open(my $f, '>', $_[0]) or die "$!\n"; print $f "written by $name\n"; close $f or die "$!\n"; slurp($_[0]) },
    child => sub { my $t = qx(cat \Q$_[0]\E); chomp $t; $t }, serve => \&serve,
);
for (@ARGV) {
    my ($step, $value) = split /=/, $_, 2;
    if ($step eq 'name') { $name = $value; next }
    my $result = eval { $steps{$step}->($value) } // $@;
    chomp $result;
    print "$step $result\n";
}
