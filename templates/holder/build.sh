#!/bin/sh
# The same image as the Dockerfile's, from this machine's static busybox and without a build:
#
#     templates/holder/build.sh berth/holder:latest
set -eu

busybox=${BUSYBOX:-$(command -v busybox)}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/bin"
cp "$busybox" "$root/bin/busybox"
command=$(sed -n 's/^CMD /CMD /p' "$(dirname "$0")/Dockerfile")
tar -C "$root" --owner=0 --group=0 -c bin | docker import --change "$command" - "$1"
