#!/usr/bin/env bash
# Installs what is missing on a Debian or Ubuntu machine. Says what it installs; installs nothing twice.
#
#   scripts/install.sh run     what the platform needs
#   scripts/install.sh test    … and its tests
#   scripts/install.sh bench   … and its benchmarks
#   scripts/install.sh vm      what `make vm` needs
#   scripts/install.sh check   what `make check` needs
#   scripts/install.sh deb     what `make deb` and `make deb-test` need
set -euo pipefail

# Another apt, such as the one that a new machine starts by itself, is waited for.
apt() { DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -y -qq -o DPkg::Lock::Timeout=600 "$@" </dev/null; }

failed() { # package...
    cat >&2 <<TEXT
cannot install: $*. Do what fits the lines above, and run the same command again:
  - If nothing can be fetched, see that this machine reaches the mirror that /etc/apt names, by a proxy if it needs one (with sudo:
    \`sudo --preserve-env=http_proxy,https_proxy make up\`).
  - If packages are broken, \`apt-get --fix-broken install\` mends them, or says what is wrong.
  - Where a package has another name or comes from elsewhere, install it yourself.
TEXT
    exit 1
}

need() { # package...
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing: ${missing[*]}"
    command -v apt-get >/dev/null || { echo "this isn't Debian or Ubuntu: install what these packages have there yourself" >&2; exit 1; }
    [ "$(id -u)" -eq 0 ] || { echo "run as root, or install them yourself" >&2; exit 1; }
    # A run that was cut off may have left packages half installed.
    [ -z "$(dpkg --audit)" ] || DEBIAN_FRONTEND=noninteractive dpkg --configure -a --force-confold </dev/null || true
    # Old lists may do, where a mirror can't be reached.
    apt update || true
    # The services of these packages are started by us, configured, or not at all.
    apt install --no-install-recommends "${missing[@]}" >/dev/null || failed "${missing[@]}"
}

known() { [ -n "$(apt-cache show "$1" 2>/dev/null)" ]; }

engine() { # docker-ce is as good as Debian's package
    command -v dockerd >/dev/null || need docker.io
    # Debian 13 has the client in a package of its own, which docker.io merely recommends.
    command -v docker >/dev/null || { known docker-cli || apt update || true; need docker-cli; }
    # Likewise the program with which the engine loads the profile of its containers, where the kernel has AppArmor.
    [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || need apparmor
    need iptables uidmap git ca-certificates
}

# Names below `localhost`, such as shop.berth.localhost, lead to this machine; not every resolver knows it.
local_names() {
    getent ahosts berth.localhost >/dev/null && return
    need libnss-myhostname
    getent ahosts berth.localhost >/dev/null ||
        echo "names below localhost lead nowhere yet: add \`myhostname\` to the line \`hosts:\` in /etc/nsswitch.conf" >&2
}

# What the browser runs that isn't ours, by the digests of its lock file. None of its scripts are run here.
scripts_of() { # folder...
    local folder as_owner
    as_owner=$(dirname "$0")/as-owner.sh
    for folder in "$@"; do
        folder=$(dirname "$0")/../$folder
        cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed" && continue
        command -v npm >/dev/null || need npm
        echo "installing: $(sed -n 's/^ *"\(.*\)": "[0-9].*/\1/p' "$folder/package.json" | tr '\n' ' ')"
        "$as_owner" npm --prefix "$folder" ci --ignore-scripts --no-audit --no-fund --loglevel=error || {
            echo "cannot fetch what $folder/package-lock.json lists: see that this machine reaches npm's registry, or set another (npm config set registry), and run the same command again" >&2
            exit 1
        }
        "$as_owner" cp "$folder/package-lock.json" "$folder/node_modules/.installed"
    done
}

case "${1:-}" in
run)   engine; local_names; need restic mmdebstrap build-essential pkg-config openssh-client curl; scripts_of reconciler/web/terminal ;;
test)  engine; local_names; need restic apparmor mmdebstrap busybox-static iproute2 dnsmasq-base build-essential pkg-config openssh-server openssh-client sshpass rsync \
       caddy docker-registry pebble bind9 exim4-daemon-light curl openssl jq putty-tools dropbear-bin python3-paramiko libssh-4 chromium chromium-driver
       command -v node >/dev/null || need nodejs
       scripts_of reconciler/web/terminal tests/axe tests/oidc ;;
bench) engine; need restic mmdebstrap busybox-static build-essential pkg-config docker-compose iproute2 caddy wrk openssh-server openssh-client ;;
vm)    engine; need mmdebstrap e2fsprogs openssh-client python3-minimal qemu-system-x86 build-essential pkg-config; scripts_of reconciler/web/terminal ;;
check)
    need build-essential pkg-config
    rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy rustfmt
    command -v cargo-deny >/dev/null || { echo "installing: cargo-deny"; cargo install --quiet --locked cargo-deny@0.20.2; }
    ;;
deb)
    need build-essential pkg-config dpkg-dev mmdebstrap systemd
    command -v cargo-deb >/dev/null || { echo "installing: cargo-deb"; cargo install --quiet --locked cargo-deb@3.8.0; }
    scripts_of reconciler/web/terminal
    ;;
*) sed -n '2,10p' "$0"; exit 2 ;;
esac
