#!/usr/bin/env bash
# Brings the platform up on this machine, on example-state unless a state repo is there already. Running it again
# changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in berth berth-runtime berth-ssh-router; do
    # Replaced by a rename, since the old one may be running; untouched when it is the same.
    built="${CARGO_TARGET_DIR:-target}/release/$program"
    cmp -s "$built" "/usr/local/bin/$program" || {
        install -m 0755 "$built" "/usr/local/bin/.$program.new"
        mv "/usr/local/bin/.$program.new" "/usr/local/bin/$program"
    }
done

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

step "Engine"
scripts/engine.sh
step "Images"
berth image build
step "State repo"
mkdir -p "$(dirname "$BERTH_STATE")"
berth init "$BERTH_STATE" --from example-state
berth hook install "$BERTH_STATE"
step "Platform"
berth up --detach
step "Ready"
berth status
cat <<TEXT

  look    berth status; berth plan
  push    git clone $BERTH_STATE my-state, change a file, git push: the push shows its plan and what came of it
  web     curl -H 'Host: shop.hosting.example.org' http://127.0.0.1/   (with DNS that leads here: a browser)
  shell   ssh server1@127.0.0.1 -p 10022   (with a key in the member's file in users/; from elsewhere: this machine's name)
  trust   berth doctor --isolation: what a hostile server reaches
  log     $BERTH_DATA/berth.log
  stop    make down   (servers keep running)
TEXT
