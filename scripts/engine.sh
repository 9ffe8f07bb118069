#!/usr/bin/env bash
# Makes sure that the Docker engine runs with Berth's settings. Restarts it only when a setting changed.
set -euo pipefail

socket=/var/run/docker.sock
log=/var/log/berth-dockerd.log

answers() { docker -H "unix://$socket" network ls >/dev/null 2>&1; }

# A process that has ended and that nobody collected has no program any more.
ended() { ! readlink -q "/proc/$1/exe" >/dev/null; }

managed() { [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; }

start() {
    if managed; then systemctl restart docker; return; fi
    # No service manager: the engine is our child in a session of its own. One that was killed leaves its pid behind,
    # and where nobody collects its process the next one takes that for an engine that lives.
    local file pid
    for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
        if pid=$(cat "$file" 2>/dev/null) && ended "$pid"; then rm -f "$file"; fi
    done
    setsid nohup dockerd >>"$log" 2>&1 </dev/null &
}

stop() {
    managed && return
    local pid
    pid=$(cat /var/run/docker.pid 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 300); do ended "$pid" && return 0; sleep 0.1; done
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
