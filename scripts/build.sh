#!/usr/bin/env bash
# Builds Berth's programs as whoever owns this clone, with Rust installed first where it is missing. On a terminal cargo shows how far it
# is; elsewhere a line every half a minute does.
set -euo pipefail
cd "$(dirname "$0")/.."
owner=$(stat -c %U .)

# What an earlier build made as root, the owner couldn't replace.
if [ "$(id -u)" -eq 0 ] && [ -e target ] && [ "$(stat -c %U target)" != "$owner" ]; then
    chown -R -h --reference=. target
fi

toolchain=$(scripts/rust.sh)
[ -z "$toolchain" ] || export RUSTUP_TOOLCHAIN="$toolchain"

# Reads cargo's progress bar, and tells of it in lines.
told() {
    local began=$SECONDS next=$SECONDS part line
    while IFS= read -r -d $'\r' part || [ -n "$part" ]; do
        while IFS= read -r line; do
            if [[ $line =~ Building\ .*\ ([0-9]+)/([0-9]+) ]]; then
                [ "$SECONDS" -ge "$next" ] || continue
                next=$((SECONDS + 30))
                progress "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" $((SECONDS - began))
            elif [[ ! $line =~ ^\ *(Compiling|Downloaded|Downloading)\  && $line =~ [[:print:]] ]]; then
                printf '%s\n' "${line//$'\e[K'/}"
            fi
        done <<<"$part"
    done
}

progress() { # done, all, seconds
    local minutes=$((($2 - $1) * $3 / ($1 > 0 ? $1 : 1) / 60 + 1)) left
    left="about $minutes minutes left"
    [ "$minutes" -gt 1 ] || left="a minute left, or less"
    # The first few crates say nothing of the others.
    [ $(($1 * 20)) -ge "$2" ] || left="the first time takes minutes"
    printf '  building: %s of %s crates; %s\n' "$1" "$2" "$left"
}

command=(cargo build --release --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web)
if [ -t 2 ]; then
    scripts/as-owner.sh "${command[@]}"
else
    CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=80 \
        scripts/as-owner.sh "${command[@]}" 2>&1 | told
fi
