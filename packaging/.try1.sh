#!/usr/bin/env bash
# Tries a package in empty userlands of the distributions that it is for: apt finds what it depends on, and installs, upgrades, downgrades,
# removes and purges it, without a service manager. Then its services, with systemd.
#
#   packaging/try.sh target/debian/berth_<version>_<arch>.deb [suite...]
#
# Needs root, mmdebstrap and a mirror of Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n '2,7p' "$0"; exit 2; }
package=$(realpath "$1")
shift
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cp "$package" "$room/package.deb"
cp packaging/inside.sh "$room/inside.sh"

for suite in "${suites[@]}"; do
    printf '\n\033[1m%s\033[0m\n' "$suite"
    # mmdebstrap forbids services to start, mounts what a userland needs, and takes it all away afterwards.
    mmdebstrap --quiet --mode=root --variant=apt --format=null \
        --customize-hook="copy-in $room/package.deb $room/inside.sh /root" \
        --customize-hook='chroot "$1" sh /root/inside.sh' \
        "$suite" /dev/null
done


