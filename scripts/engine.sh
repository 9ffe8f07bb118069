#!/usr/bin/env bash
# Makes sure that the Docker engine runs with Berth's settings. Restarts it only when a setting changed.
set -euo pipefail

socket=/var/run/docker.sock
log=/var/log/berth-dockerd.log

answers() { docker -H "unix://$socket" network ls >/dev/null 2>&1; }

# Tells whether a process is this program. One that has ended and that nobody collected has no program any more, and after a restart of
# the machine another may have its number.
runs() { # pid, program
    local file
    file=$(readlink -q "/proc/$1/exe") || return 1
    # Where an upgrade has put another file in its place.
    file=${file% (deleted)}
    [ "${file##*/}" = "$2" ]
}

managed() { [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; }

pid_file() {
    case $1 in
    dockerd) echo /var/run/docker.pid ;;
    containerd) echo /var/run/docker/containerd/containerd.pid ;;
    esac
}

start() {
    if managed; then systemctl restart docker; return; fi
    # No service manager: the engine is our child in a session of its own. One that was killed leaves its pid behind, and the next one
    # takes whatever has that number, also a process that nobody collects, for an engine that lives.
    local program pid
    for program in dockerd containerd; do
        if pid=$(cat "$(pid_file "$program")" 2>/dev/null) && ! runs "$pid" "$program"; then rm -f "$(pid_file "$program")"; fi
    done
    setsid nohup dockerd >>"$log" 2>&1 </dev/null &
}

stop() {
    managed && return
    local pid
    pid=$(cat "$(pid_file dockerd)" 2>/dev/null) || return 0
    runs "$pid" dockerd || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 300); do runs "$pid" dockerd || return 0; sleep 0.1; done
    echo "the engine (pid $pid) does not end; $log says why" >&2
    exit 1
}

# Exit code 2: settings were changed.
code=0
berth engine setup --yes --runtime "$(command -v berth-runtime)" || code=$?
case $code in
0) answers || start ;;
2) stop; start ;;
*) exit "$code" ;;
esac
for _ in $(seq 300); do
    answers && exit 0
    sleep 0.1
done
echo "the engine does not come up; look at $log, or journalctl -u docker" >&2
exit 1
