#!/usr/bin/env bash
# Types what docs/operations.md tells a newcomer ("Install by package"), on an empty Debian with systemd in namespaces of its own, and prints
# each line with the seconds that it took: from the package to a server that answers.
#
#   packaging/newcomer.sh <package> [suite]
#
# Needs root, mmdebstrap, iptables and cgroup v1, and a way to Debian's mirror. No image can be pulled, so the base image is made of the
# distribution's packages; where Docker Hub answers, the same line is shorter. TRANSCRIPT names a file for what was typed and said.
# systemd of Debian 13 doesn't run on cgroup v1: its machine is `make vm`.
set -euo pipefail
package=$(realpath "$1")
suite=${2:-bookworm}
transcript=$(realpath -m "${TRANSCRIPT:-/dev/stdout}")
room=$(mktemp -d)
root=$room/root
name=nc$$
init=
connections=$(cat /proc/sys/net/netfilter/nf_conntrack_max)

# The end of the first process ends every other, and the mounts and addresses are its namespaces' own.
clean() {
    if [ -n "$init" ]; then
        kill -KILL "$init" 2>/dev/null || true
        wait 2>/dev/null || true
    fi
    echo "$connections" >/proc/sys/net/netfilter/nf_conntrack_max
    iptables -w -t nat -D POSTROUTING -s "$net.0/30" -j MASQUERADE 2>/dev/null || true
    iptables -w -D FORWARD -i "$name" -j ACCEPT 2>/dev/null || true
    iptables -w -D FORWARD -o "$name" -j ACCEPT 2>/dev/null || true
    ip link del "$name" 2>/dev/null || true
    for controller in "$room"/cgroup/*; do
        for _ in $(seq 50); do
            [ -d "$controller/$name" ] || break
            find "$controller/$name" -depth -type d -exec rmdir {} \; 2>/dev/null || true
            sleep 0.1
        done
        umount "$controller" 2>/dev/null || true
    done
    umount -R "$root" 2>/dev/null || true
    rm -rf --one-file-system "$room"
}
trap clean EXIT

inside() { nsenter --target "$init" --mount --pid --net --uts --ipc --cgroup --root --wd -- env -i PATH=/usr/sbin:/usr/bin HOME=/root TERM=dumb LANG=C.UTF-8 "$@"; }
fail() {
    echo "FAILED: $*" >&2
    inside journalctl --no-pager -n 60 >&2 || true
    exit 1
}
# No namespace has the table of connections for itself: it is raised here, and put back.
[ "$connections" -ge 1048576 ] || echo 1048576 >/proc/sys/net/netfilter/nf_conntrack_max
began=$(date +%s)
type_() { # a line, as it is typed
    local from code=0
    from=$(date +%s)
    printf '# %s\n' "$1" >>"$transcript"
    inside bash -c "cd /root && { $1
}" >"$room/said" 2>&1 </dev/null || code=$?
    # What scrolls by is told by its end.
    tail -n "${2:-6}" "$room/said" | sed 's/^/    /' >>"$transcript"
    printf '    [%s s, %s s in all]\n' "$(($(date +%s) - from))" "$(($(date +%s) - began))" >>"$transcript"
    [ "$code" = 0 ] || { cat "$room/said" >&2; fail "$1 ended with $code"; }
}
until_() { # seconds, what, command...
    local until=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$until" ] || fail "$what"
        sleep 0.5
    done
}

userland=${USERLAND:-$room/userland.tar}
[ -s "$userland" ] ||
    mmdebstrap --quiet --mode=root --variant=apt --include=systemd,systemd-sysv,dbus,ca-certificates,openssh-client,curl,iproute2,procps "$suite" "$userland"
mkdir -p "$root"
tar -xf "$userland" -C "$root"
cp "$package" "$root/root/"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"

# Its hierarchies of cgroups are roots of its own, in this machine's.
for controller in blkio cpu cpuacct cpuset devices freezer memory pids systemd; do
    mkdir -p "$room/cgroup/$controller"
    option=$controller
    [ "$controller" != systemd ] || option=none,name=systemd
    mount -t cgroup -o "$option" cgroup "$room/cgroup/$controller"
    mkdir "$room/cgroup/$controller/$name"
done
for file in cpus mems; do
    cat "$room/cgroup/cpuset/cpuset.$file" >"$room/cgroup/cpuset/$name/cpuset.$file"
done
# A network of its own, with a way out through this machine: the first that nobody here uses.
for third in $(seq 200 254); do
    net=10.213.$third
    ip route show | grep -q "$net\." || break
done

cat >"$room/begin.sh" <<'BEGIN'
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
for controller in blkio cpu cpuacct cpuset devices freezer memory pids; do
    mkdir "$root/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "$root/sys/fs/cgroup/$controller"
done
mkdir "$root/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty fuse net/tun; do
    [ -e "/dev/$device" ] || continue
    mkdir -p "$root/dev/$(dirname "$device")"
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
    for controller in "$room"/cgroup/*; do
        echo $BASHPID >"$controller/$name/cgroup.procs"
    done
    exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh "$room/begin.sh" "$root"
) &
parent=$!
until_ 20 "namespaces are made" pgrep --parent "$parent"
init=$(pgrep --parent "$parent")
ip link add "$name" type veth peer name eth0 netns "$init"
ip addr add "$net.1/30" dev "$name"
ip link set "$name" up
iptables -w -t nat -I POSTROUTING -s "$net.0/30" -j MASQUERADE
iptables -w -I FORWARD -i "$name" -j ACCEPT
iptables -w -I FORWARD -o "$name" -j ACCEPT
until_ 60 "systemd comes up" inside sh -c 'systemctl is-system-running | grep -qE "running|degraded"'
inside sh -c "ip link set lo up && ip addr add $net.2/30 dev eth0 && ip link set eth0 up && ip route replace default via $net.1"

began=$(date +%s)
type_ "apt-get update"
type_ "apt-get install -y ./$(basename "$package")"
type_ "berth doctor || true" 30
type_ "berth engine setup --yes; systemctl restart docker" 12
type_ "berth image build --base bootstrap" 10
type_ "ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519"
type_ "berth init /var/lib/berth/state.git --domain hosting.example.org --admin ann --admin-key .ssh/id_ed25519.pub" 20
type_ "berth hook install /var/lib/berth/state.git"
type_ "systemctl start berth.target"
until_ 300 "the router lets somebody in" inside ssh -o StrictHostKeyChecking=accept-new -p 10022 git@localhost ls
type_ "git clone ssh://git@localhost:10022/state"
type_ "cd state && mkdir -p servers domains && printf 'id = 1\nowner = \"ann\"\n' >servers/shop.toml && printf 'server = \"shop\"\ntls = \"internal\"\n' >domains/shop.hosting.example.org.toml && git add . && git -c user.name=ann -c user.email=ann@example.org commit -qm 'a server and its domain' && git push" 30
until_ 300 "the server lets somebody in" inside ssh -p 10022 shop@localhost true
type_ "ssh -p 10022 shop@localhost 'systemctl is-system-running --wait; hostname'"
until_ 120 "the domain answers" inside curl -fsk -o /dev/null --resolve shop.hosting.example.org:443:127.0.0.1 https://shop.hosting.example.org/
type_ "curl -sko /dev/null -w '%{http_code}\n' --resolve shop.hosting.example.org:443:127.0.0.1 https://shop.hosting.example.org/"
type_ "berth status || true" 30
printf 'from the first line to a server that answers: %s s\n' "$(($(date +%s) - began))" | tee -a "$transcript"
