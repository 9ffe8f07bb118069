#!/usr/bin/env bash
# Runs a command with another Docker engine: in the userland of the Debian that has it, on this machine's kernel and network.
#
#   tests/engine.sh MAJOR COMMAND...    MAJOR: 20 (Debian 12), 26 (Debian 13), 28 (forky)
#   tests/engine.sh rm MAJOR            removes the userland
#
# If this machine's own engine has that version, the command runs here. Else the userland is made once with mmdebstrap, in target/engines;
# MIRROR names another mirror than Debian's. The command finds the source tree and the target folder at their usual paths, and
# everything else, such as /var/lib and /run, is the userland's own. What it leaves running ends with it.
# `make stories ENGINE=28` runs the stories so.
set -euo pipefail

usage() { sed -n '4,5s/^#   //p' "$0" >&2; exit 2; }

# The Debian that has an engine; bound to change for those that aren't released.
suite() { # major
    case $1 in
    20) echo bookworm ;;
    26) echo trixie ;;
    28) echo forky ;;
    *) echo "no Debian is known to have Docker $1: 20, 26 or 28" >&2; exit 2 ;;
    esac
}

# Major version of the engine that is installed at a root; nothing without one.
major() { # root
    [ -x "$1/usr/sbin/dockerd" ] || [ -x "$1/usr/bin/dockerd" ] || return 0
    chroot "$1" dockerd --version 2>/dev/null | sed -n 's/^Docker version \([0-9]*\)\..*/\1/p'
}

# Runs a command in a userland, as the root of a mount, PID and IPC namespace of its own: engines and what they start end with it.
enter() { # root command...
    exec unshare --mount --pid --ipc --fork --kill-child bash -euc '
        root=$1 tree=$2 target=$3 folder=$4; shift 4
        mount --make-rprivate /
        mount --bind "$root" "$root"
        for at in /dev /sys; do mount --rbind "$at" "$root$at"; done
        mount -t proc proc "$root/proc"
        mount -t tmpfs -o mode=755 tmpfs "$root/run"
        mkdir -p "$root/run/lock" "$root/run/sshd"
        mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        for at in "$tree" "$target"; do mkdir -p "$root$at"; mount --rbind "$at" "$root$at"; done
        cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
        mkdir -p "$root/.outside"
        cd "$root"
        pivot_root . .outside
        umount -l /.outside
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
        # The folders above the tree are made here, and open to be passed through, as they are outside.
        cd "$folder"
        "$@"' engine "$1" "$tree" "$target" "$PWD" "${@:2}"
}

tree=$(realpath "$(dirname "$0")/..")
target=$(realpath -m "${CARGO_TARGET_DIR:-$tree/target}")
[ "$(id -u)" -eq 0 ] || { echo "run as root" >&2; exit 1; }

if [ "${1:-}" = rm ]; then
    [ $# -eq 2 ] || usage
    rm -rf --one-file-system "$target/engines/$(suite "$2")"
    exit
fi
[ $# -ge 2 ] || usage
wanted=$1; shift
suite=$(suite "$wanted")
root=$target/engines/$suite
mkdir -p "$target/engines"
# One after the other, to the end: the stories name what they make in the machine's network after the target folder, and each userland
# has its own file by which they wait for each other.
exec 9>"$target/engines/.lock"
flock 9
[ "$(major /)" != "$wanted" ] || exec "$@"
if [ ! -e "$root" ]; then
    command -v mmdebstrap >/dev/null || { echo "mmdebstrap is missing: scripts/install.sh test installs it" >&2; exit 1; }
    echo "making the userland of Debian's $suite in $root"
    rm -rf --one-file-system "$root.new"
    # The date of a list counts for nothing: a mirror may keep a snapshot, and what is installed is for tests. Signatures do count.
    mmdebstrap --quiet --variant=minbase --mode=root --include=ca-certificates \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        "$suite" "$root.new" ${MIRROR:+"$MIRROR"}
    mv "$root.new" "$root"
fi
# What the stories need, by the list that is kept for every machine.
(enter "$root" "$tree/scripts/install.sh" test)
found=$(major "$root")
if [ "$found" != "$wanted" ]; then
    echo "Debian's $suite has Docker ${found:-of no version} now, and not $wanted" >&2
    exit 1
fi
enter "$root" "$@"
