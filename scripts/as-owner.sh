#!/usr/bin/env bash
# Runs a command as whoever owns this clone, with the Rust that is installed for them. So `sudo make up` in a user's home leaves nothing
# of root's there.
#
#   scripts/as-owner.sh COMMAND [ARGUMENT...]
set -euo pipefail
clone=$(cd "$(dirname "$0")/.." && pwd)
owner=$(stat -c %U "$clone")
home=$(getent passwd "$owner" | cut -d: -f6 || true)

# Nobody else can be become: by a user, or where the owner's number has no name.
if [ "$(id -u)" -ne 0 ] || [ "$owner" = "$(id -un)" ] || [ -z "$home" ]; then
    export PATH="${HOME:-/root}/.cargo/bin:$PATH"
    exec "$@"
fi
# Where root's Rust is, the owner can't look.
for variable in CARGO_HOME RUSTUP_HOME; do
    case ${!variable:-} in "${HOME:-/root}"/*) unset "$variable" ;; esac
done
exec runuser -u "$owner" -- env HOME="$home" USER="$owner" LOGNAME="$owner" PATH="$home/.cargo/bin:$PATH" "$@"
