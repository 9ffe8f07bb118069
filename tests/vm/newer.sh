#!/usr/bin/env bash
# Makes a package of another build out of one: each program has other bytes, by which Berth tells builds apart, and the version is a newer one.
#
#   newer.sh PACKAGE NEWER
set -euo pipefail
package=${1:?a package}
newer=${2:?a path for the newer one}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
dpkg-deb -R "$package" "$room/tree"
for program in berth berth-gate berth-runtime berth-ssh-router berth-web; do
    printf 'another build' >>"$room/tree/usr/bin/$program"
done
sed -i "s/^Version: \(.*\)/Version: \1+newer/" "$room/tree/DEBIAN/control"
dpkg-deb -Zgzip -z1 --root-owner-group -b "$room/tree" "$newer"
