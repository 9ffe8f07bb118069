#!/usr/bin/env bash
# `make vm`: a Debian 13 machine in QEMU, with the package and this machine's images, through the main flows.
#
#   run.sh PACKAGE [NEWER]
#
# NEWER is a package of another build, to upgrade to; without one, it is made of PACKAGE.
# FOLDER (target/vm) keeps the disk as it was made; each run has a copy of it. SUITE chooses the distribution.
set -euo pipefail
cd "$(dirname "$0")/../.."
package=${1:?a package}
newer=${2:-}
folder=$(realpath -m "${FOLDER:-target/vm}")
tests/vm/make.sh "$folder/made"

# The images are this machine's engine's, which can fetch packages.
mkdir -p "$folder/run/share"
base=$(docker images --format '{{.Repository}}:{{.Tag}}' 'berth-base*' | head -n 1)
docker save -o "$folder/run/share/images.tar" ${base:+"$base"} berth-server berth-holder berth-firewall berth-caddy \
    berth-dockerhub-cache berth-ssh-router

rm -f "$folder/run/disk.img"
for file in disk.img data.img vmlinuz initrd key; do
    cp --sparse=always --reflink=auto "$folder/made/$file" "$folder/run/$file"
done
if [ -z "$newer" ]; then
    newer=$folder/run/newer.deb
    tests/vm/newer.sh "$package" "$newer"
fi
tests/vm/flows.sh "$folder/run" "$package" "$folder/run/share/images.tar" "$newer"
