#!/bin/sh
# Runs in an empty userland, as packaging/try.sh calls it: installs the package, upgrades it, goes back, removes and purges it, and
# compares what is there each time. The package lies in /root/package.deb.
set -eu
export DEBIAN_FRONTEND=noninteractive

step() { echo "--- $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
has() { [ -e "$1" ] || fail "$1 is missing"; }
has_not() { if [ -e "$1" ] || [ -L "$1" ]; then fail "$1 is there"; fi; }
says() { # file, words
    grep -qF -- "$2" "$1" || { cat "$1" >&2; fail "nobody says: $2"; }
}
says_not() { # file, words
    ! grep -qF -- "$2" "$1" || { cat "$1" >&2; fail "somebody says: $2"; }
}
get() { # apt's words...
    apt-get -qq -y --no-install-recommends "$@" >/root/said 2>&1 </dev/null || { cat /root/said; fail "apt-get $*"; }
}
# Another version of the same package, in which something else is different, too.
version() { # version, file, command...
    rm -rf /root/unpacked
    dpkg-deb -R /root/package.deb /root/unpacked
    sed -i "s/^Version: .*/Version: $1/" /root/unpacked/DEBIAN/control
    if [ $# -gt 2 ]; then (cd /root/unpacked && sh -euc "$3"); fi
    dpkg-deb -Zgzip -z1 --root-owner-group -b /root/unpacked "$2" >/dev/null
    rm -rf /root/unpacked
}

# The first of the table is what every version before it can't read.
oldest=$(dpkg-deb -f /root/package.deb Version)
version "9.0.0-1" /root/newer.deb
# It has no berth-mail.service.
without_mail='rm usr/lib/systemd/system/berth-mail.service; sed -i "s/ berth-mail.service//" DEBIAN/postinst DEBIAN/prerm DEBIAN/postrm'
version "0.0.1-1" /root/older.deb "$without_mail"

step "users and groups of these names"
apt-get -qq update
get install passwd
groupadd --system berth-web
useradd --system --no-user-group --gid games berth-state

step "install $oldest, broken off"
# The first attempt ends in the middle.
mv /usr/sbin/useradd /usr/sbin/useradd.real
printf '#!/bin/sh\ncase "$*" in *berth-web) exit 1 ;; esac\nexec /usr/sbin/useradd.real "$@"\n' >/usr/sbin/useradd
chmod 0755 /usr/sbin/useradd
! apt-get -qq -y --no-install-recommends install /root/package.deb >/root/said 2>&1 </dev/null || fail "it is installed without its users"
mv /usr/sbin/useradd.real /usr/sbin/useradd
dpkg --configure -a >/root/said 2>&1 || { cat /root/said; fail "dpkg"; }
says /root/said "berth engine setup --yes"
says /root/said "usermod --gid berth-state berth-state"
says_not /root/said "usermod --gid berth-web"
[ "$(id -gn berth-web)" = berth-web ] || fail "the panel's user has another group"
usermod --gid "$(id -g berth-web)" berth-state
# Twice is as good as once.
get install --reinstall /root/package.deb
says_not /root/said "is left to do"
for program in berth berth-gate berth-ssh-router berth-web; do
    "/usr/bin/$program" --version >/dev/null || fail "$program doesn't run"
done
has /usr/bin/berth-runtime
# What the package depends on brings everything that it calls.
for program in dockerd docker git iptables newuidmap mmdebstrap modprobe nsenter useradd; do
    command -v "$program" >/dev/null || fail "there is no $program"
done
for user in berth-web berth-metrics berth-state; do id -u "$user" >/dev/null || fail "there is no user $user"; done
for file in /etc/default/berth /usr/lib/sysctl.d/50-berth.conf /usr/lib/modules-load.d/berth.conf \
    /usr/share/bash-completion/completions/berth /usr/share/man/man1/berth-engine-setup.1.gz; do
    has "$file"
done
says /var/lib/dpkg/info/berth.conffiles /etc/default/berth
for unit in berth berth-door berth-remote berth-acme berth-oidc berth-mail berth-backup berth-metrics berth-alarms berth-web; do
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
# An admin has decided about two services, and written what no shell could read.
wants=/etc/systemd/system/berth.target.wants
rm $wants/berth-acme.service
ln -s /dev/null /etc/systemd/system/berth-oidc.service
cat >>/etc/default/berth <<'SETTINGS'
BERTH_WORDS=two words; touch /root/ran (
BERTH_QUOTE="it's
SETTINGS
get install /root/newer.deb
has_not /root/ran
has_not $wants/berth-acme.service
has $wants/berth-mail.service
[ "$(readlink /etc/systemd/system/berth-oidc.service)" = /dev/null ] || fail "who has masked a service wants it masked"
kept; has $data/journal/db; has $data/views/a
grep -q BERTH_LOG=debug /etc/default/berth || fail "the settings are lost"
! grep -q "can't read" /root/said || fail "an upgrade reads everything"

step "downgrade"
get install --allow-downgrades /root/older.deb
says /root/said "version 0.0.1-1 is older than 9.0.0-1. What it can't read:"
says /root/said "state repo: fields of the state"
says /root/said "takes the place of the newer 9.0.0-1; what it finds in /var/lib/berth/state.git"
kept
has_not $wants/berth-mail.service
get install /root/package.deb
[ -L $wants/berth-mail.service ] || fail "berth-mail.service isn't enabled"

step "settings that both have changed, and none"
version "9.1.0-1" /root/settings.deb 'echo "#BERTH_NEW=1" >>etc/default/berth'
get -o Dpkg::Options::=--force-confold install /root/settings.deb
grep -q BERTH_LOG=debug /etc/default/berth || fail "the settings are lost"
get -o Dpkg::Options::=--force-confold --allow-downgrades install /root/package.deb
says /root/said "version $oldest is older than 9.1.0-1, and has the same formats"
mv /etc/default/berth /root/settings
get install --reinstall /root/package.deb
has_not /etc/default/berth
mv /root/settings /etc/default/berth

step "another disk"
mkdir /srv/disk
mv /var/lib/berth /srv/disk/berth
ln -s /srv/disk/berth /var/lib/berth
get install --reinstall /root/package.deb
kept
mv /srv/disk /srv/away
get install --reinstall /root/package.deb
says /root/said "/var/lib/berth leads to /srv/disk/berth, which isn't there"
mv /srv/away /srv/disk
rm /var/lib/berth
mv /srv/disk/berth /var/lib/berth

step "remove"
get remove berth
says /root/said "servers keep running"
says /root/said "apt-mark manual docker.io"
kept; has $data/journal/db; has $data/views/a; has /etc/default/berth
has_not /usr/bin/berth

step "purge"
mkdir -p /etc/sysctl.d /etc/modules-load.d
touch /etc/sysctl.d/60-berth.conf /etc/modules-load.d/60-berth.conf
mkdir -p /var/lib/berth/host
touch /usr/local/bin/berth
get purge berth
says /root/said "the platform that \`make up\` has installed"
kept; has $data/journal/db; has /etc/sysctl.d/60-berth.conf
rm /usr/local/bin/berth
get install /root/package.deb
get purge berth
kept
for gone in /var/lib/berth/host $data/journal $data/views $data/berth.log $data/remote/standing.json $data-panel/sessions /etc/default/berth \
    /etc/sysctl.d/60-berth.conf /etc/modules-load.d/60-berth.conf /var/lib/berth/.places; do
    has_not "$gone"
done
says /root/said "/var/lib/berth/state.git"
says /root/said "$data-panel"
[ -L /etc/systemd/system/berth-oidc.service ] || fail "the admin's mask is gone"
rm /etc/systemd/system/berth-oidc.service
left=$(find /etc/systemd/system -name 'berth*')
[ -z "$left" ] || fail "left in /etc: $left"

step "other places"
other="/srv/my berth"
mkdir -p "$other/data/journal" "$other/data-panel/sessions" /journal /views /remote /etc/default
touch "$other/data/identity"
get install /root/package.deb
printf 'BERTH_STATE="%s/state.git"\n BERTH_DATA="%s/data/"  \n' "$other" "$other" >>/etc/default/berth
berth init "$other/state.git" --domain hosting.example.org >/dev/null 2>&1
get purge berth
has "$other/data/identity"; has "$other/state.git/HEAD"; has_not "$other/data/journal"; has_not "$other/data-panel"
says /root/said "$other/data"
says /root/said "$other/state.git"

step "no places"
get install /root/package.deb
printf 'BERTH_DATA=\nBERTH_STATE=here\n' >>/etc/default/berth
get remove berth
# Whoever may write there gets no command of theirs run.
echo "touch /root/ran" >>/var/lib/berth/.places
get purge berth
has_not /root/ran
for kept in /journal /views /remote $data/identity; do has "$kept"; done
says /root/said "$data"
# Once more, where nothing is left to purge.
dpkg --purge berth >/dev/null 2>&1 || fail "dpkg --purge"

step "all is well"
