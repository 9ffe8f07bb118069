#!/usr/bin/env bash
# Brings the platform up on this machine, on example-state unless a state repo is there already. Running it again
# changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

built="${CARGO_TARGET_DIR:-target}/release"

# Before anything changes. What can be mended is mended below, or told; only what makes Berth impossible here ends this.
step "Host"
code=0
"$built/berth" doctor || code=$?
[ "$code" -ne 1 ] || { echo "nothing was changed" >&2; exit 1; }

for program in berth berth-gate berth-runtime berth-ssh-router berth-web; do
    # Replaced by a rename, since the old one may be running; untouched when it is the same.
    cmp -s "$built/$program" "/usr/local/bin/$program" || {
        install -m 0755 "$built/$program" "/usr/local/bin/.$program.new"
        mv "/usr/local/bin/.$program.new" "/usr/local/bin/$program"
    }
done

# The panel's user, who has nothing else. Its group may connect to the panel's sockets.
id -u berth-web >/dev/null 2>&1 ||
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin berth-web

# Open to pass through, for the panel's user; what lies in it is closed.
install -d -m 0711 "$(dirname "$BERTH_STATE")" "$(dirname "$BERTH_DATA")"

step "Engine"
scripts/engine.sh
step "Images"
berth image build
step "State repo"
[ -e "$BERTH_STATE" ] || first_time=yes
berth init "$BERTH_STATE" --from example-state
berth hook install "$BERTH_STATE"
step "Platform"
berth up --detach
step "Ready"
berth status || echo "Not everything is as it should be yet; \`berth status\` tells more in a moment."
# A field of a table of platform.toml, as `main` has it.
field() { # table, field, default
    git -C "$BERTH_STATE" show main:platform.toml 2>/dev/null |
        awk -v table="[$1]" -v field="$2" -v usual="$3" '
            /^\[/ { here = ($1 == table) }
            here && $1 == field { gsub(/"/, "", $3); found = $3 }
            END { print (found == "" ? usual : found) }'
}
panel=$(field panel domain "" || true) port=$(field panel port 8443 || true) ssh_port=$(field ssh port 10022 || true)
# Where people reach the panel: through the web server, or at its own port.
panel_url() {
    local edge number
    edge=$(field panel edge proxy)
    case $edge in
    proxy) number=$(field public https_port "$(field web https_port 443)") ;;
    *) number=$(field public panel_port "$port") ;;
    esac
    [ "$number" = 443 ] && echo "https://$panel/" || echo "https://$panel:$number/"
}
# Whoever may invite the others. A link works once, so it is made once: later, `berth invite` makes another.
admin=$(git -C "$BERTH_STATE" grep -l '^role *= *"admin"' main -- users/ 2>/dev/null | sed -n '1s|.*/\(.*\)\.toml$|\1|p' || true)
invitation="berth invite ${admin:-<admin>}: a link with which they set their password"
if [ -n "$panel" ] && [ -n "$admin" ] && [ -n "${first_time:-}" ]; then
    link=$(berth invite "$admin")
    # The panel's name may lead nowhere yet.
    invitation="$link   (once and within three days, $admin sets a password)
          https://localhost:$port/invite/${link##*/}   (the same, from this machine)
          The browser warns: the certificate is the platform's own. docs/panel.md, \"The certificate\", ends that."
fi
cat <<TEXT

${panel:+  panel   $(panel_url)   (on this machine also https://localhost:$port/; docs/panel.md)
          $invitation
}  look    berth status; berth plan
  push    git clone $BERTH_STATE my-state, change a file, git push: the push shows its plan and what came of it
  web     curl -H 'Host: shop.hosting.example.org' http://127.0.0.1/   (with DNS that leads here: a browser)
  shell   ssh server1@127.0.0.1 -p $ssh_port   (with a key in the member's file in users/; from elsewhere: this machine's name)
  host    berth doctor: what this machine lacks, and how to mend it
  trust   berth doctor --isolation: what a hostile server reaches
  log     $BERTH_DATA/berth.log
  stop    make down   (servers keep running)
TEXT
