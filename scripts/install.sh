#!/usr/bin/env bash
# Installs what is missing on a Debian or Ubuntu machine. Says what it installs; installs nothing twice.
#
#   scripts/install.sh run     what the platform needs
#   scripts/install.sh test    … and its tests
#   scripts/install.sh bench   … and its benchmarks
#   scripts/install.sh check   what `make check` needs
set -euo pipefail

need() { # package...
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing: ${missing[*]}"
    [ "$(id -u)" -eq 0 ] || { echo "run as root, or install them yourself" >&2; exit 1; }
    apt-get update -qq
    # The services of these packages are started by us, configured, or not at all.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

engine() { # docker-ce is as good as Debian's package
    command -v dockerd >/dev/null || need docker.io
    need iptables uidmap git ca-certificates
}

case "${1:-}" in
run)   engine; need mmdebstrap build-essential pkg-config ;;
test)  engine; need mmdebstrap busybox-static iproute2 dnsmasq-base build-essential pkg-config openssh-server openssh-client sshpass rsync \
       caddy docker-registry pebble curl openssl jq putty-tools dropbear-bin python3-paramiko libssh-4 ;;
bench) engine; need mmdebstrap busybox-static build-essential pkg-config docker-compose iproute2 caddy wrk openssh-server openssh-client ;;
check)
    need build-essential pkg-config
    rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy rustfmt
    command -v cargo-deny >/dev/null || { echo "installing: cargo-deny"; cargo install --quiet --locked cargo-deny@0.20.2; }
    ;;
*) sed -n '2,8p' "$0"; exit 2 ;;
esac
