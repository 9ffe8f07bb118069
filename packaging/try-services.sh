#!/usr/bin/env bash
# Tries the services of a package in a container with systemd: they wait for a state repo, start with it, come back after a crash and when
# they hang, follow platform.toml, and end with an upgrade and a removal as they should.
#
#   packaging/try-services.sh <package> [suite]
set -euo pipefail
package=$(realpath "$1")
suite=${2:-bookworm}
room=$(mktemp -d)
name=berth-package-$$
# Nothing is pulled, and nothing of this is left.
trap 'docker rm --force --volumes "$name" >/dev/null 2>&1 || true; docker image rm --force "$name" >/dev/null 2>&1 || true; rm -rf "$room"' EXIT

step() { printf -- '--- %s\n' "$*"; }
fail() {
    echo "FAILED: $*" >&2
    inside systemctl --no-pager --full status 'berth*' >&2 || true
    inside journalctl --no-pager -n 60 -u 'berth*' >&2 || true
    exit 1
}
inside() { docker exec "$name" "$@"; }
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

step "a userland with systemd ($suite)"
cp "$package" "$room/package.deb"
mmdebstrap --quiet --mode=root --variant=apt --include=systemd,systemd-sysv,dbus,curl,procps \
    --customize-hook="copy-in $room/package.deb /root" \
    --customize-hook='chroot "$1" apt-get -qq install -y --no-install-recommends /root/package.deb >/dev/null 2>&1' \
    "$suite" "$room/userland.tar" 2>"$room/said" || { cat "$room/said" >&2; exit 1; }
docker import "$room/userland.tar" "$name" >/dev/null
docker run --detach --name "$name" --privileged --network none --tmpfs /run --tmpfs /tmp --volume /var/lib/docker \
    --env container=docker "$name" /sbin/init >/dev/null
until_ 60 "systemd comes up" inside systemctl is-system-running --wait

step "units as systemd reads them"
said=$(inside sh -c "systemd-analyze verify --man=no /usr/lib/systemd/system/berth*" 2>&1 | grep -i berth || true)
[ -z "$said" ] || fail "systemd-analyze verify: $said"

step "without a state repo nothing runs, and nothing has failed"
active berth.target || fail "berth.target"
for unit in berth berth-door berth-web; do
    ! active "$unit" || fail "$unit runs"
    ! inside systemctl is-failed --quiet "$unit" || fail "$unit has failed"
done

step "with one, everything does"
inside sh -c 'berth init /var/lib/berth/state.git --domain hosting.example.org && berth hook install /var/lib/berth/state.git' >/dev/null 2>&1
inside systemctl stop docker.service docker.socket
inside systemctl start berth.target
for unit in berth-door berth-remote berth-acme berth-oidc berth-mail berth-web; do
    until_ 30 "$unit starts" active "$unit"
done
inside test -S /run/berth/doors/hosting/git.sock || fail "the door listens"
! active docker || fail "an engine was started"
# It can do nothing without an engine, and is tried again: the others don't wait for it.
! active berth || fail "the reconciler has no engine"

step "the reconciler comes with the engine"
inside systemctl start docker.service
until_ 60 "the reconciler starts" active berth
until_ 30 "it answers" inside curl -fs --unix-socket /var/lib/berth/data/control.sock http://berth/status

step "a crash is a restart"
for unit in berth-door berth-mail berth; do
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

step "the panel comes and goes with platform.toml"
commit() {
    inside sh -c "rm -rf /root/state && git -c safe.directory='*' clone -q /var/lib/berth/state.git /root/state && cd /root/state && $1 && git -c user.name=a -c user.email=a@example.org commit -qam panel && git push -q" >/dev/null 2>&1 || fail "a commit: $1"
}
before=$(pid berth-web)
! inside pgrep -f '^/usr/bin/berth-web' >/dev/null 2>&1 || fail "there is a panel"
inside sh -c "curl -fsk https://localhost:8443/ >/dev/null 2>&1" && fail "somebody listens"
commit 'printf "\n[panel]\ndomain = \"panel.example.org\"\n" >>platform.toml'
until_ 60 "the panel answers" inside sh -c "curl -sk --resolve panel.example.org:8443:127.0.0.1 https://panel.example.org:8443/ | grep -qi html"
[ "$(pid berth-web)" = "$before" ] || fail "its unit was started again"
commit 'git revert --no-edit --no-commit HEAD'
until_ 60 "the panel is gone" inside sh -c "! curl -sk https://localhost:8443/"
active berth-web || fail "its unit goes on"

step "an upgrade starts the services again, and nothing else"
engine=$(pid docker)
door=$(pid berth-door)
inside sh -c 'cd /root && dpkg-deb -R package.deb unpacked && sed -i "s/^Version: .*/Version: 9.0.0-1/" unpacked/DEBIAN/control && dpkg-deb -Zgzip -z1 --root-owner-group -b unpacked newer.deb && dpkg -i newer.deb' >"$room/said" 2>&1 || { cat "$room/said" >&2; fail "dpkg"; }
for unit in berth berth-door berth-remote berth-acme berth-oidc berth-mail berth-web; do
    until_ 60 "$unit runs" active "$unit"
done
[ "$(pid berth-door)" != "$door" ] || fail "the door is the old one"
[ "$(pid docker)" = "$engine" ] || fail "the engine was started again"

step "a removal ends them"
inside dpkg -r berth >/dev/null 2>&1 || fail "dpkg"
! inside pgrep -x berth >/dev/null 2>&1 || fail "something runs"
[ "$(pid docker)" = "$engine" ] || fail "the engine was started again"

step "all is well"
