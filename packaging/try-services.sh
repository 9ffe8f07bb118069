#!/usr/bin/env bash
# Tries the services of a package in a userland with systemd, in namespaces of its own: they wait for a state repo, start with it, come back
# after a crash and when they hang, follow platform.toml, and end with an upgrade and a removal as they should.
#
#   packaging/try-services.sh <package> [suite]
#
# Needs root, mmdebstrap and cgroup v2. USERLAND names a tarball of a userland that is used, or made there for the next time.
set -euo pipefail
package=$(realpath "$1")
suite=${2:-bookworm}
room=$(mktemp -d)
root=$room/root
init=

# Nothing of this is left: the end of its first process ends every other, and the mounts are its namespace's.
clean() {
    if [ -n "$init" ]; then
        kill -KILL "$init" 2>/dev/null || true
        wait "$init" 2>/dev/null || true
    fi
    # The last processes are still on their way out.
    for _ in $(seq 50); do
        [ -d "$room/cgroup/${room##*/}" ] || break
        find "$room/cgroup/${room##*/}" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        sleep 0.1
    done
    umount "$room/cgroup" 2>/dev/null || true
    rm -rf --one-file-system "$room"
}
trap clean EXIT

step() { printf -- '--- %s\n' "$*"; }
fail() {
    echo "FAILED: $*" >&2
    inside systemctl --no-pager --full status 'berth*' >&2 || true
    inside journalctl --no-pager -n 60 -u 'berth*' >&2 || true
    exit 1
}
inside() { nsenter --target "$init" --mount --pid --net --uts --ipc --cgroup --root --wd -- env -i PATH=/usr/sbin:/usr/bin HOME=/root "$@"; }
until_() { # seconds, what, command...
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    fail "$what"
}
active() { inside systemctl is-active --quiet "$1"; }
pid() { inside systemctl show --property MainPID --value "$1"; }
state() { inside systemctl show --property ActiveState,SubState,Result,ConditionResult,ExecMainStatus "$1"; }
another() { [ "$(pid "$1")" != "$2" ] && [ "$(pid "$1")" != 0 ] && active "$1"; }

userland=${USERLAND:-$room/userland.tar}
if [ ! -s "$userland" ]; then
    step "a userland with systemd and what the package depends on ($suite)"
    cp "$package" "$room/package.deb"
    mmdebstrap --quiet --mode=root --variant=apt --include=systemd,systemd-sysv,dbus,curl,procps,iproute2 \
        --customize-hook="copy-in $room/package.deb /root" \
        --customize-hook='chroot "$1" sh -c "apt-get -qq satisfy -y --no-install-recommends \"\$(dpkg-deb -f /root/package.deb Depends)\" && rm /root/package.deb" >/dev/null' \
        "$suite" "$userland" 2>"$room/said" || { cat "$room/said" >&2; exit 1; }
fi
mkdir -p "$root" "$room/cgroup"
tar -xf "$userland" -C "$root"
mount -t cgroup2 cgroup2 "$room/cgroup"
mkdir "$room/cgroup/${room##*/}"
# The first process of the namespaces is systemd, in a cgroup that is the root of its own.
cat >"$room/begin.sh" <<'BEGIN'
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir -p "$root/old"
cd "$root"
pivot_root . old
exec chroot . sh -c 'umount -l /old; exec env -i container=berth PATH=/usr/sbin:/usr/bin /sbin/init' <dev/null >/dev/null 2>&1
BEGIN
(
    echo $BASHPID >"$room/cgroup/${room##*/}/cgroup.procs"
    exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh "$room/begin.sh" "$root"
) &
parent=$!
until_ 20 "namespaces are made" pgrep --parent "$parent"
init=$(pgrep --parent "$parent")
until_ 60 "systemd comes up" inside sh -c 'systemctl is-system-running | grep -qE "running|degraded"'

step "the package is installed"
cp "$package" "$root/root/package.deb"
inside dpkg -i /root/package.deb >"$room/said" 2>&1 || { cat "$room/said" >&2; fail "dpkg"; }

step "units as systemd reads them"
said=$(inside sh -c "ip link set lo up; systemd-analyze verify --man=no /usr/lib/systemd/system/berth*" 2>&1 | grep -i berth || true)
[ -z "$said" ] || fail "systemd-analyze verify: $said"

step "without a state repo nothing runs, and nothing has failed"
active berth.target || fail "berth.target"
for unit in berth berth-door berth-web; do
    ! active "$unit" || fail "$unit runs"
    ! inside systemctl is-failed --quiet "$unit" || fail "$unit has failed"
done

step "with one, everything does"
inside sh -c 'berth init /var/lib/berth/state.git --domain hosting.example.org && berth hook install /var/lib/berth/state.git' >/dev/null 2>&1
inside systemctl --quiet stop docker.service docker.socket
inside systemctl --quiet mask --runtime docker.service docker.socket
inside systemctl start berth.target
for unit in berth-door berth-remote berth-acme berth-oidc berth-mail berth-backup berth-metrics berth-alarms berth-web; do
    until_ 30 "$unit starts" active "$unit"
done
inside test -S /run/berth/doors/hosting/git.sock || fail "the door listens"
! active docker || fail "there is an engine"
# It can do nothing without an engine, and is tried again: the others don't wait for it.
! active berth || fail "the reconciler has no engine"

step "the reconciler comes with the engine"
inside systemctl --quiet unmask --runtime docker.service docker.socket
inside systemctl start docker.service
until_ 60 "the reconciler starts" active berth
until_ 30 "it answers" inside curl -fs --unix-socket /var/lib/berth/data/control.sock http://berth/metrics

step "a crash is a restart"
for unit in berth-door berth-mail berth-metrics berth; do
    before=$(pid "$unit")
    inside kill -KILL "$before"
    until_ 40 "$unit comes back" another "$unit" "$before"
done

step "a process that hangs is one that is started again"
inside sh -c 'mkdir -p /run/systemd/system/berth-door.service.d && printf "[Service]\nWatchdogSec=15\n" >/run/systemd/system/berth-door.service.d/soon.conf && systemctl daemon-reload && systemctl restart berth-door'
before=$(pid berth-door)
sleep 20
[ "$(pid berth-door)" = "$before" ] || fail "the door works, and was started again"
inside kill -STOP "$before"
until_ 60 "the door comes back" another berth-door "$before"
[ "$(inside systemctl show --property NRestarts --value berth-door)" -ge 1 ] || fail "the watchdog did it"

step "so is the panel, whose signs of life are its child's"
inside sh -c 'mkdir -p /run/systemd/system/berth-web.service.d && printf "[Service]\nWatchdogSec=15\n" >/run/systemd/system/berth-web.service.d/soon.conf && systemctl daemon-reload && systemctl restart berth-web'
before=$(pid berth-web)
sleep 20
[ "$(pid berth-web)" = "$before" ] || fail "the panel's keeper works, and was started again"
inside kill -STOP "$before"
until_ 60 "the panel's keeper comes back" another berth-web "$before"

step "the panel comes and goes with platform.toml"
commit() {
    inside sh -c "rm -rf /root/state && git -c safe.directory='*' clone -q /var/lib/berth/state.git /root/state && cd /root/state && $1 && git -c user.name=a -c user.email=a@example.org commit -qam panel && git push -q" >/dev/null 2>&1 || fail "a commit: $1"
}
before=$(pid berth-web)
! inside pgrep -f '^/usr/bin/berth-web' >/dev/null 2>&1 || fail "there is a panel"
inside sh -c "curl -fsk https://localhost:8443/ >/dev/null 2>&1" && fail "somebody listens"
commit 'printf "\n[panel]\ndomain = \"panel.example.org\"\n" >>platform.toml'
until_ 60 "the panel answers" inside sh -c "curl -sko /dev/null https://localhost:8443/"
[ "$(pid berth-web)" = "$before" ] || fail "its unit was started again"
before=$(pid berth-web)
child=$(inside pgrep -u berth-web -x berth-web | head -n 1)
inside kill -STOP "$child"
until_ 90 "a panel that hangs is one that is started again" another berth-web "$before"
until_ 60 "the panel answers again" inside sh -c "curl -sko /dev/null https://localhost:8443/"
commit 'git revert --no-edit --no-commit HEAD'
until_ 60 "the panel is gone" inside sh -c "! curl -sk https://localhost:8443/"
active berth-web || fail "its unit goes on"

step "another disk, another place, and a service that nobody wants"
inside systemctl --quiet stop berth.target
inside sh -c 'mkdir -p /srv/disk && mv /var/lib/berth "/srv/disk/my berth" && ln -s "/srv/disk/my berth" /var/lib/berth && systemctl --quiet mask --now berth-mail.service'
inside systemctl start berth.target
until_ 60 "the reconciler runs on another disk" active berth
until_ 60 "it answers there" inside curl -fs --unix-socket "/srv/disk/my berth/data/control.sock" http://berth/metrics
! active berth-mail || fail "a masked service runs"
inside systemctl --quiet stop berth.target
# As docs/operations.md says, "Other places".
inside sh -c 'rm /var/lib/berth && mv "/srv/disk/my berth" /srv/berth && mkdir -p /etc/systemd/system/berth-.service.d &&
    printf "[Unit]\nRequiresMountsFor=/srv/berth\n[Service]\nReadWritePaths=/srv/berth\n" >/etc/systemd/system/berth-.service.d/places.conf &&
    printf "BERTH_STATE=/srv/berth/state.git\nBERTH_DATA=/srv/berth/data\n" >>/etc/default/berth && systemctl daemon-reload'
inside systemctl start berth.target
for unit in berth berth-door berth-web berth-remote berth-oidc berth-acme; do
    until_ 60 "$unit runs elsewhere" active "$unit"
done
until_ 60 "it answers elsewhere" inside curl -fs --unix-socket /srv/berth/data/control.sock http://berth/metrics
inside systemctl --quiet stop berth.target
inside sh -c 'rm -r /etc/systemd/system/berth-.service.d && sed -i "/srv/d" /etc/default/berth && mv /srv/berth /var/lib/berth && systemctl daemon-reload'
inside systemctl --quiet unmask berth-mail.service
inside systemctl start berth.target
until_ 60 "the reconciler is back" active berth
step "scrapers are answered where platform.toml says, by a process that has nothing"
[ "$(inside ps -o user:20= -p "$(pid berth-metrics)" | tr -d ' ')" = berth-metrics ] || fail "berth-metrics runs as a user of its own"
commit 'printf "\n[metrics]\nlisten = \"127.0.0.1:9323\"\n" >>platform.toml'
until_ 60 "metrics can be scraped" inside sh -c "curl -fs http://127.0.0.1:9323/metrics | grep -qx 'berth_up 1'"
inside systemctl stop berth
until_ 30 "a reconciler that is away is told of" inside sh -c "curl -fs http://127.0.0.1:9323/metrics | grep -qx 'berth_up 0'"
inside systemctl start berth

step "an upgrade starts the services again, and ends neither a push nor anything else"
commit 'mkdir -p users && printf "role = \"admin\"\n" >users/ann.toml && git add users'
# Through the door, as the router asks it, for somebody whose line carries only a part of the push before the upgrade is done.
cat >"$root/root/push.pl" <<'PUSH'
use strict; use warnings; use IO::Socket::UNIX;
chdir "/root/state" or die;
my $before = `git rev-parse HEAD`; chomp $before;
system(q(printf '# Slowly.\n' >>platform.toml && git -c user.name=ann -c user.email=ann@example.org commit -qam slowly)) == 0 or die;
my $tip = `git rev-parse HEAD`; chomp $tip;
my $order = "$before $tip refs/heads/main\0 report-status";
my $pack = `printf '$tip\n^$before\n' | git pack-objects --revs --stdout --quiet`;
my $door = IO::Socket::UNIX->new("/run/berth/doors/hosting/git.sock") or die;
print $door qq({"user": "ann", "command": "receive-pack", "from": "192.0.2.7"}\n);
# Frames of docs/hosting.md: 0 is input, and 1 its end.
sub told { print $door pack("CN", $_[0], length $_[1]), $_[1]; $door->flush }
told(0, sprintf("%04x", 4 + length $order) . $order . "0000" . substr $pack, 0, 20);
open(my $file, ">", "/root/pushing"); close $file;
select(undef, undef, undef, 0.1) until -e "/root/go";
told(0, substr $pack, 20); told(1, "");
1 while sysread $door, my $said, 65536;
PUSH
inside perl /root/push.pl >"$room/pushed" 2>&1 &
pushing=$!
until_ 30 "somebody pushes" inside test -e /root/pushing
engine=$(pid docker)
door=$(pid berth-door)
inside sh -c 'cd /root && dpkg-deb -R package.deb unpacked && sed -i "s/^Version: .*/Version: 9.0.0-1/" unpacked/DEBIAN/control && sed "s/berth mail/berth oidc/" unpacked/usr/lib/systemd/system/berth-mail.service >unpacked/usr/lib/systemd/system/berth-extra.service && sed -i "s/ berth-mail.service/& berth-extra.service/" unpacked/DEBIAN/postinst unpacked/DEBIAN/prerm unpacked/DEBIAN/postrm && dpkg-deb -Zgzip -z1 --root-owner-group -b unpacked newer.deb && dpkg -i newer.deb' >"$room/said" 2>&1 || { cat "$room/said" >&2; fail "dpkg"; }
for unit in berth berth-door berth-remote berth-acme berth-oidc berth-mail berth-backup berth-metrics berth-alarms berth-web; do
    until_ 60 "$unit runs" active "$unit"
done
[ "$(pid berth-door)" != "$door" ] || fail "the door is the old one"
tip() { inside git -c safe.directory='*' -C "$1" rev-parse "$2"; }
[ "$(tip /root/state HEAD)" != "$(tip /var/lib/berth/state.git main)" ] || fail "the push is over already"
inside touch /root/go
wait "$pushing" || { cat "$room/pushed" >&2; fail "the push"; }
[ "$(tip /root/state HEAD)" = "$(tip /var/lib/berth/state.git main)" ] || fail "what was pushed isn't there"
[ "$(pid docker)" = "$engine" ] || fail "the engine was started again"

step "a downgrade ends what the older version doesn't have"
active berth-extra || fail "the newer version's own service"
inside dpkg -i /root/package.deb >"$room/said" 2>&1 || { cat "$room/said" >&2; fail "dpkg"; }
! active berth-extra || fail "a service without a package runs"
for unit in berth berth-door berth-remote berth-acme berth-oidc berth-mail berth-alarms berth-web; do
    until_ 60 "$unit runs" active "$unit"
done

step "a removal that is broken off ends nothing"
inside mkdir /var/lib/berth/.places
! inside dpkg -r berth >/dev/null 2>&1 || fail "the removal was to fail"
inside rmdir /var/lib/berth/.places
active berth || fail "the removal has ended it"
# So it goes where something fails later.
inside systemctl --quiet stop berth.target
inside /var/lib/dpkg/info/berth.postinst abort-remove >/dev/null 2>&1 || fail "abort-remove"
for unit in berth berth-door berth-web; do
    until_ 60 "$unit runs" active "$unit"
done

step "a removal ends them"
inside dpkg -r berth >"$room/said" 2>&1 || { cat "$room/said" >&2; fail "dpkg"; }
! inside pgrep -x berth >/dev/null 2>&1 || fail "something runs"
[ "$(pid docker)" = "$engine" ] || fail "the engine was started again"

step "all is well"
