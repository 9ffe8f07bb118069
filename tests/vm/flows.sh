#!/usr/bin/env bash
# Goes through the platform's main flows on a machine that make.sh made, with Berth from its package.
#
#   flows.sh FOLDER PACKAGE IMAGES [NEWER]
#
# PACKAGE is the .deb; IMAGES an archive of `docker save` with the base image and the platform's, since nothing leads out of the
# machine; NEWER a package of another build, to upgrade to. FOLDER/results.tsv says flow by flow what came of it.
# A flow that fails is told, and the next one is tried: it says more than the first.
set -euo pipefail
cd "$(dirname "$0")"
FOLDER=$(realpath "${1:?a folder}")
package=${2:?a package}
images=${3:?the images}
newer=${4:-}
. ./machine.sh
results=$FOLDER/results.tsv
failures=0
# What a step waits for at most, in seconds. An emulated machine takes about ten times as long as one that runs.
helped && patience=180 || patience=1800

flow() { # name, function
    local name=$1 began code=0
    began=$(date +%s)
    printf '\n\033[1m%s\033[0m\n' "$name"
    # A subshell of its own with -e: within `if` or `||`, bash would go on after what fails.
    set +e
    (set -e; "$2") > >(tee "$FOLDER/last") 2>&1
    code=$?
    set -e
    local seconds=$(($(date +%s) - began))
    if [ $code = 0 ]; then
        printf '  works, %s s\n' "$seconds"
        printf '%s\tworks\t%s s\n' "$name" "$seconds" >>"$results"
    else
        failures=$((failures + 1))
        printf '  FAILS, %s s\n' "$seconds"
        printf '%s\tfails\t%s\n' "$name" "$(tail -n 1 "$FOLDER/last" | tr '\t' ' ' | cut -c1-200)" >>"$results"
    fi
}

within() { # what, command... : tries until it succeeds
    local what=$1 until=$(($(date +%s) + patience))
    shift
    until "$@" >"$FOLDER/tried" 2>&1; do
        if [ "$(date +%s)" -ge "$until" ]; then
            tail -n 20 "$FOLDER/tried"
            echo "not within $patience s: $what"
            return 1
        fi
        sleep 5
    done
}

server() { # id, command... in the server
    local id=$1
    shift
    # ssh joins its words with spaces, and the shell there reads them again.
    ask "docker exec hosting-users-dind-$id $(printf '%q ' "$@")"
}

install_() {
    ask apt-get install -y /mnt/share/berth.deb
    ask berth --version
}

host() {
    # What the doctor finds before anything is set up is what setup is there for.
    ask berth doctor || true
    ask berth engine setup --yes || [ $? = 2 ]
    ask systemctl restart docker
    ask berth engine check
    ask "aa-status --json | jq -r '.profiles | keys[]' | grep ^berth" || echo "  no profile of Berth's is loaded"
}

bring_images() {
    ask docker load -q -i /mnt/share/images.tar
    ask berth image build
}

first_state() {
    ask 'ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519 <<<n || true'
    ask 'set -e
        mkdir -p /root/first/users /root/first/servers /root/first/domains
        cd /root/first
        printf "domain = \"hosting.example.org\"\n" >platform.toml
        printf "role = \"admin\"\nemail = \"ann@example.org\"\nssh_keys = [\"%s\"]\n" "$(cut -d" " -f1,2 /root/.ssh/id_ed25519.pub)" >users/ann.toml
        printf "id = 1\nowner = \"ann\"\nmemory = \"768 MiB\"\npids = 1024\n" >servers/shop.toml
        printf "id = 2\nowner = \"ann\"\nmemory = \"768 MiB\"\n" >servers/notes.toml
        printf "server = \"shop\"\nport = 80\ntls = \"internal\"\n" >domains/shop.hosting.example.org.toml
        berth init /var/lib/berth/state.git --from .
        berth hook install /var/lib/berth/state.git
        systemctl start berth.target'
}

# `berth status` isn't content on a machine that reaches no registry: the cache of images says so.
servers_run() {
    within "nothing is left to do" ask berth plan
    within "server 1 is running" server 1 systemctl is-system-running --wait
    within "server 2 is running" server 2 systemctl is-system-running --wait
    ask berth status
}

# At port 80 each server has a web server of its own, which answers at once.
a_domain_answers() {
    within "the domain answers" ask "curl -fsk --resolve shop.hosting.example.org:443:127.0.0.1 https://shop.hosting.example.org/ | grep -q ."
}

ssh_works() {
    within "a shell of server 1" ask "ssh -o StrictHostKeyChecking=no -p 10022 server1@127.0.0.1 'hostname; exit 3'; [ \$? = 3 ]"
    ask "ssh -o StrictHostKeyChecking=no -p 10022 git@127.0.0.1 ls"
}

push_() {
    ask 'set -e
        rm -rf /root/state
        git clone -q ssh://git@127.0.0.1:10022/state /root/state
        cd /root/state
        sed -i "s/768 MiB/640 MiB/" servers/shop.toml
        git -c user.name=ann -c user.email=ann@example.org commit -qam "shop: less memory"
        git push 2>&1'
    within "server 1 has its new limit" ask "docker inspect -f '{{.HostConfig.Memory}}' hosting-users-dind-1 | grep -qx $((640 * 1048576))"
}

limits() {
    server 1 cat /sys/fs/cgroup/memory.max
    # Memory beyond the limit ends what takes it, and not the server. (`tail` keeps what has no line's end.)
    ! server 1 sh -c 'head -c 1200M /dev/zero | tail >/dev/null'
    server 1 sh -c 'grep -q "^oom_kill [1-9]" /sys/fs/cgroup/memory.events'
    # So do processes.
    server 1 sh -c 'for i in $(seq 1500); do sleep 60 & done 2>/dev/null; wait' >/dev/null 2>&1 &
    local many=$!
    sleep $((patience / 20))
    ask "cat \$(find /sys/fs/cgroup -path '*docker-*' -name pids.events | head -n 3)"
    kill $many 2>/dev/null || true
    within "server 1 has room again" server 1 true
    # The first process inside has no say in its own limits.
    ! server 1 sh -c 'echo max > /sys/fs/cgroup/memory.max'
}

all_back() {
    within "nothing is left to do" ask berth plan
    servers_run
    within "a shell of server 1" ask "ssh -o StrictHostKeyChecking=no -p 10022 server1@127.0.0.1 true"
}

reboot_() {
    ask systemctl reboot || true
    sleep 10
    answers "$patience"
    all_back
}

power_cut() {
    pull
    boot
    all_back
}

# An app that answers a WebSocket with a line each second.
TICKS='#!/usr/bin/perl
use IO::Socket::INET; $SIG{CHLD} = "IGNORE";
my $l = IO::Socket::INET->new(LocalPort => 8080, Listen => 20, ReuseAddr => 1) or die;
while (1) { my $c = $l->accept or next; next if fork; $c->autoflush(1); while (<$c>) { last if /^\r?$/ }
print $c "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
while (print $c "tick\n") { sleep 1 } exit }'

# Pushes one commit after the other until /root/enough is there. A push that fails is tried again, as a person would.
PUSHES='cd /root/state
number=0
until [ -e /root/enough ]; do
    number=$((number + 1))
    echo "# push $number" >>servers/notes.toml
    git -c user.name=ann -c user.email=ann@example.org commit -qam "push $number"
    for try in 1 2 3 4 5; do
        if git push >/root/said 2>&1; then
            echo "$number in $try"
            break
        fi
        echo "$number out: $(tail -n 2 /root/said | tr "\n" " ")"
        sleep 5
    done
done'

upgrade() {
    printf '%s\n' "$TICKS" | ask_with "docker exec -i hosting-users-dind-1 sh -c 'cat >/usr/local/bin/ticks; chmod +x /usr/local/bin/ticks'"
    server 1 systemd-run --unit=ticks /usr/local/bin/ticks
    ask 'set -e
        cd /root/state
        git pull -q
        printf "server = \"shop\"\nport = 8080\ntls = \"internal\"\n" >domains/live.hosting.example.org.toml
        git add domains
        git -c user.name=ann -c user.email=ann@example.org commit -qm "a domain for what ticks"
        git push 2>&1'
    within "nothing is left to do" ask berth plan
    printf '%s\n' "$PUSHES" | ask_with "rm -f /root/enough; cat >/root/pushes.sh"

    # Open while the package is replaced: a shell and a WebSocket, each of which says something each second, and pushes.
    ask "ssh -o StrictHostKeyChecking=no -p 10022 server1@127.0.0.1 'while :; do date +%s; sleep 1; done'" >"$FOLDER/session" 2>&1 &
    local session=$!
    ask '{ printf "GET / HTTP/1.1\r\nHost: live.hosting.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           printf "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"; sleep 20000; } |
        openssl s_client -quiet -servername live.hosting.example.org -connect 127.0.0.1:443 2>/dev/null' >"$FOLDER/socket" 2>&1 &
    local socket=$!
    ask "bash /root/pushes.sh" >"$FOLDER/pushes" 2>&1 &
    local pushes=$!
    within "the shell says something" grep -q '^[0-9]' "$FOLDER/session"
    within "the WebSocket says something" grep -q '^tick' "$FOLDER/socket"
    within "a push is in" grep -q ' in ' "$FOLDER/pushes"

    local before after said ticks
    before=$(ask "docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort -k 2")
    ask apt-get install -y /mnt/share/newer.deb
    ask touch /root/enough
    wait "$pushes"
    cat "$FOLDER/pushes"
    ! grep -q '^[0-9]* out' "$FOLDER/pushes" || echo "  (pushes that had to be tried again: $(grep -c '^[0-9]* out' "$FOLDER/pushes"))"
    # Whatever was said to be in is there, once.
    local last
    last=$(sed -n 's/^\([0-9]*\) in .*/\1/p' "$FOLDER/pushes" | tail -n 1)
    for number in $(seq "$last"); do
        [ "$(ask "git -C /var/lib/berth/state.git show main:servers/notes.toml | grep -cx '# push $number'")" = 1 ] ||
            { echo "push $number isn't on main once"; return 1; }
    done
    within "nothing is left to do" ask berth plan
    after=$(ask "docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort -k 2")
    diff <(echo "$before") <(echo "$after") || { echo "containers were made anew"; return 1; }
    said=$(wc -l <"$FOLDER/session") ticks=$(wc -l <"$FOLDER/socket")
    sleep 20
    [ "$(wc -l <"$FOLDER/session")" -gt "$said" ] || { echo "the session ended with the upgrade"; return 1; }
    [ "$(wc -l <"$FOLDER/socket")" -gt "$ticks" ] || { echo "the WebSocket ended with the upgrade"; return 1; }
    kill "$session" "$socket"
}

purge() {
    ask apt-get purge -y berth
    ask test -e /var/lib/berth/state.git/HEAD
    ask test -e /var/lib/berth/data/identity
    # Servers run on.
    server 1 true
    ! ask sh -c 'command -v berth'
}

: >"$results"
mkdir -p "$FOLDER/share"
cp "$package" "$FOLDER/share/berth.deb"
[ -z "$newer" ] || cp "$newer" "$FOLDER/share/newer.deb"
[ "$(realpath "$images")" = "$FOLDER/share/images.tar" ] || cp "$images" "$FOLDER/share/images.tar"
trap halt EXIT

flow "boot" boot
ask "uname -r; . /etc/os-release; echo \"\$PRETTY_NAME\"; docker version -f '{{.Server.Version}}'; stat -fc %T /sys/fs/cgroup; cat /sys/module/apparmor/parameters/enabled" |
    tee "$FOLDER/machine"
flow "install the package" install_
flow "engine setup and check" host
flow "images, brought along" bring_images
flow "a first state" first_state
flow "servers to running" servers_run
flow "a domain" a_domain_answers
flow "SSH, a shell and the lobby" ssh_works
flow "a push" push_
flow "limits" limits
flow "reboot" reboot_
flow "power cut" power_cut
[ -z "$newer" ] || flow "upgrade under a shell, a WebSocket and pushes" upgrade
flow "purge" purge

printf '\n'
column -t -s "$(printf '\t')" "$results" 2>/dev/null || cat "$results"
[ "$failures" = 0 ]
