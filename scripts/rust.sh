#!/usr/bin/env bash
# Makes sure that whoever owns this clone has Rust as new as Cargo.toml asks for. Prints the name of rustup's toolchain to build with, or
# nothing where the usual one is new enough. Installs nothing then.
set -euo pipefail
cd "$(dirname "$0")/.."
needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
owner=$(stat -c %U .)

as_owner() { scripts/as-owner.sh "$@"; }
say() { printf '%s\n' "$*" >&2; }

version() { # toolchain
    as_owner env ${1:+RUSTUP_TOOLCHAIN="$1"} rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p' || true
}
is_enough() { # toolchain
    local found
    found=$(version "$1")
    [ -n "$found" ] && printf '%s\n%s\n' "$needed" "$found" | sort -V -C &&
        as_owner env ${1:+RUSTUP_TOOLCHAIN="$1"} cargo --version >/dev/null 2>&1
}
has_rustup() { as_owner sh -c 'command -v rustup' >/dev/null 2>&1; }
known() { [ -n "$(apt-cache show "$1" 2>/dev/null)" ]; }

from_distribution() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
    known rustup || apt-get update -qq || true
    known rustup || return 1
    say "installing: rustup"
    # It can't be beside the distribution's own cargo and rustc. Somebody wants those: they stay.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove rustup >/dev/null
}

from_its_site() {
    local installer code=0
    installer=$(as_owner mktemp)
    say "installing: rustup, from https://rustup.rs, for $owner"
    # To a file first: half an installer must not run.
    {
        as_owner curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location --connect-timeout 20 \
            https://sh.rustup.rs --output "$installer" &&
            as_owner env RUSTUP_INIT_SKIP_PATH_CHECK=yes \
                sh "$installer" -y --quiet --no-modify-path --profile minimal --default-toolchain stable >&2
    } || code=1
    as_owner rm -f "$installer"
    return "$code"
}

for toolchain in "" stable; do
    if is_enough "$toolchain"; then echo "$toolchain"; exit; fi
done
found=$(version "")
say "Rust $needed or newer is needed to build Berth; $owner has ${found:-none}."
if has_rustup || from_distribution || from_its_site; then
    if ! is_enough stable && has_rustup; then
        say "installing: Rust's stable toolchain, for $owner"
        as_owner rustup toolchain install stable --profile minimal --no-self-update >&2 || true
    fi
    for toolchain in "" stable; do
        if is_enough "$toolchain"; then echo "$toolchain"; exit; fi
    done
fi
cat >&2 <<TEXT
Rust could be had neither from a package \`rustup\` nor from https://rustup.rs. Do one of these, and run the same command again:
  - If this machine reaches the internet by a proxy, set https_proxy (with sudo: \`sudo --preserve-env=https_proxy make up\`).
  - Install Rust $needed or newer for $owner by any other way, so that \`rustc --version\` says so in a shell of theirs.
  - Copy ~/.cargo and ~/.rustup from a machine with the same processor, into $owner's home.
TEXT
exit 1
