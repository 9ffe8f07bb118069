#!/usr/bin/env bash
# Prints the SSH public keys of the person who runs this, by sudo or as root: those in ~/.ssh whose private half is there, and those of
# an agent. Makes one where there is none, and says so.
set -euo pipefail
person=${SUDO_USER:-$(id -un)}
home=$(getent passwd "$person" | cut -d: -f6)

as_person() {
    if [ "$person" = "$(id -un)" ]; then "$@"; else runuser -u "$person" -- env HOME="$home" "$@"; fi
}

# Keys that Berth takes: DSA and short RSA ones open nothing.
good() {
    local line
    while IFS= read -r line; do
        case $line in
        ssh-ed25519\ * | ecdsa-sha2-* | sk-ssh-ed25519@openssh.com\ * | sk-ecdsa-sha2-*) echo "$line" ;;
        ssh-rsa\ *) [ "$(ssh-keygen -l -f - <<<"$line" | cut -d' ' -f1)" -lt 2048 ] || echo "$line" ;;
        esac
    done
}

found() {
    local public
    for public in "$home"/.ssh/id_*.pub; do
        # Without the other half it opens nothing from here.
        if [ -f "$public" ] && [ -f "${public%.pub}" ]; then grep -v '^#' "$public"; fi
    done
    [ -z "${SSH_AUTH_SOCK:-}" ] || as_person ssh-add -L 2>/dev/null || true
}

keys=$(found | good | awk '!seen[$2]++')
if [ -z "$keys" ]; then
    file=$home/.ssh/id_ed25519
    if [ -e "$file" ]; then
        echo "$file has no $file.pub beside it: \`ssh-keygen -y -f $file > $file.pub\` makes that; then run this again" >&2
        exit 1
    fi
    as_person mkdir -p -m 0700 "$home/.ssh"
    as_person ssh-keygen -q -t ed25519 -N '' -C "$person@$(uname -n)" -f "$file" </dev/null
    echo "$person had no SSH key: made $file, without a passphrase" >&2
    keys=$(cat "$file.pub")
fi
printf '%s\n' "$keys"
