#!/usr/bin/env bash
# Makes berth_<version>_<arch>.deb in target/debian of the programs that are built, berth-packaging with them: those of the profile given,
# or of release.
#
#   packaging/build.sh [release|debug] [cargo-deb's options...]
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-release}
shift || true
target=${CARGO_TARGET_DIR:-target}

rm -rf packaging/generated
"$target/$profile/berth-packaging" packaging/generated

# cargo-deb takes programs from target/release: those of another profile are put in a place of their own that looks like it.
stage=$target
if [ "$profile" = debug ]; then
    stage=target/package
    mkdir -p "$stage/release"
    for program in berth berth-gate berth-runtime berth-ssh-router berth-web; do
        cp "$target/debug/$program" "$stage/release/$program"
        strip "$stage/release/$program"
    done
fi

mkdir -p "$target/debian"
CARGO_TARGET_DIR=$stage cargo deb --locked --no-build -p berth-packaging --output "$target/debian/" "$@"
