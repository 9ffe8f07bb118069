#!/bin/sh
# Runs in an empty userland, as packaging/try.sh calls it: installs the package, upgrades it, goes back, removes and purges it, and
# compares what is there each time. The package lies in /root/package.deb.
set -eu
export DEBIAN_FRONTEND=noninteractive

step() { echo "--- $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
has() { [ -e "$1" ] || fail "$1 is missing"; }
has_not() { [ ! -e "$1" ] || fail "$1 is there"; }
says() { # file, words
    grep -qF -- "$2" "$1" || { cat "$1" >&2; fail "nobody says: $2"; }
}
# Another version of the same package.
version() { # version, file
    rm -rf /root/unpacked
    dpkg-deb -R /root/package.deb /root/unpacked
    sed -i "s/^Version: .*/Version: $1/" /root/unpacked/DEBIAN/control
    dpkg-deb -Zgzip -z1 --root-owner-group -b /root/unpacked "$2" >/dev/null
    rm -rf /root/unpacked
}

# The first of the table is what every version before it can't read.
oldest=$(dpkg-deb -f /root/package.deb Version)
version "9.0.0-1" /root/newer.deb
version "0.0.1-1" /root/older.deb

step "install $oldest"
apt-get -qq update
apt-get -qq install -y --no-install-recommends /root/package.deb >/root/said 2>&1 || { cat /root/said; fail "apt"; }
says /root/said "berth engine setup --yes"
for program in berth berth-gate berth-ssh-router berth-web; do
    "/usr/bin/$program" --version >/dev/null || fail "$program doesn't run"
done
has /usr/bin/berth-runtime
# What the package depends on brings everything that it calls.
for program in dockerd docker git iptables newuidmap mmdebstrap modprobe nsenter useradd; do
    command -v "$program" >/dev/null || fail "there is no $program"
done
for user in berth-web berth-state; do id -u "$user" >/dev/null || fail "there is no user $user"; done
for file in /etc/default/berth /usr/lib/sysctl.d/50-berth.conf /usr/lib/modules-load.d/berth.conf \
    /usr/share/bash-completion/completions/berth /usr/share/man/man1/berth-engine-setup.1.gz; do
    has "$file"
done
says /var/lib/dpkg/info/berth.conffiles /etc/default/berth
for unit in berth berth-door berth-remote berth-acme berth-oidc berth-mail berth-backup berth-web; do
    [ -L "/etc/systemd/system/berth.target.wants/$unit.service" ] || fail "$unit.service isn't enabled"
done
[ -L /etc/systemd/system/multi-user.target.wants/berth.target ] || fail "berth.target isn't enabled"
has_not /etc/systemd/system/berth.target.wants/berth-images.service
# The engine would run the runtime that lies beside the program.
berth engine setup 2>&1 | grep -qF /usr/bin/berth-runtime || fail "the engine is to call /usr/bin/berth-runtime"

step "use"
berth init /var/lib/berth/state.git --domain hosting.example.org >/dev/null 2>&1
berth check /var/lib/berth/state.git >/dev/null 2>&1 || fail "the new state repo has mistakes"
data=/var/lib/berth/data
mkdir -p $data/journal $data/views/a $data/door $data/secrets $data/remote $data-panel/sessions $data-panel/own-ca
touch $data/identity $data/secrets/token $data/door/passwords $data/journal/db $data/remote/known-hosts \
    $data/remote/standing.json $data/berth.log
echo "BERTH_LOG=debug" >>/etc/default/berth
kept() {
    for file in /var/lib/berth/state.git/HEAD $data/identity $data/secrets/token $data/door/passwords $data/remote/known-hosts \
        $data-panel/own-ca; do
        has "$file"
    done
}

step "upgrade"
apt-get -qq install -y --no-install-recommends /root/newer.deb >/root/said 2>&1 || { cat /root/said; fail "apt"; }
kept; has $data/journal/db; has $data/views/a
grep -q BERTH_LOG=debug /etc/default/berth || fail "the settings are lost"
! grep -q "can't read" /root/said || fail "an upgrade reads everything"

step "downgrade"
apt-get -qq install -y --no-install-recommends --allow-downgrades /root/older.deb >/root/said 2>&1 || { cat /root/said; fail "apt"; }
says /root/said "version 0.0.1-1 is older than 9.0.0-1. What it can't read:"
says /root/said "state repo: fields of the state"
says /root/said "takes the place of the newer 9.0.0-1; what it finds in /var/lib/berth/state.git"
kept

step "remove"
apt-get -qq remove -y berth >/root/said 2>&1 || { cat /root/said; fail "apt"; }
says /root/said "servers keep running"
kept; has $data/journal/db; has $data/views/a; has /etc/default/berth
has_not /usr/bin/berth

step "purge"
mkdir -p /etc/sysctl.d /etc/modules-load.d
touch /etc/sysctl.d/60-berth.conf /etc/modules-load.d/60-berth.conf
apt-get -qq purge -y berth >/root/said 2>&1 || { cat /root/said; fail "apt"; }
kept
for gone in $data/journal $data/views $data/berth.log $data/remote/standing.json $data-panel/sessions /etc/default/berth \
    /etc/sysctl.d/60-berth.conf /etc/modules-load.d/60-berth.conf /var/lib/berth/.places; do
    has_not "$gone"
done
says /root/said "/var/lib/berth/state.git"
says /root/said "$data-panel"
left=$(find /etc/systemd/system -name 'berth*')
[ -z "$left" ] || fail "left in /etc: $left"

step "other places"
mkdir -p /srv/berth/journal /etc/default
touch /srv/berth/identity
apt-get -qq install -y --no-install-recommends /root/package.deb >/dev/null 2>&1
echo "BERTH_DATA=/srv/berth" >>/etc/default/berth
apt-get -qq purge -y berth >/root/said 2>&1
has /srv/berth/identity; has_not /srv/berth/journal
says /root/said "/srv/berth"

step "all is well"
