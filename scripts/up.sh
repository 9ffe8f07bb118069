#!/usr/bin/env bash
# Brings the platform up on this machine, on example-state unless a state repo is there already. Running it again
# changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

# The package's programs and services would run beside these.
if dpkg-query -W -f '${Status}' berth 2>/dev/null | grep -q 'ok installed'; then
    echo "the package berth is installed: \`make deb\` and \`apt install\` bring a new version, and \`systemctl start berth.target\` starts it" >&2
    exit 1
fi

step() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

built="${CARGO_TARGET_DIR:-target}/release"

# Before anything changes. What can be mended is mended below, or told; only what makes Berth impossible here ends this.
step "Host"
code=0
"$built/berth" doctor --runtime /usr/local/bin/berth-runtime || code=$?
[ "$code" -ne 1 ] || { echo "nothing was changed" >&2; exit 1; }

# Whatever is replaced is started anew, by the next run if this one ends before.
export BERTH_PENDING=/run/berth-up.pending
for program in berth berth-gate berth-runtime berth-ssh-router berth-web; do
    # Replaced by a rename, since the old one may be running; untouched when it is the same.
    cmp -s "$built/$program" "/usr/local/bin/$program" || {
        touch "$BERTH_PENDING"
        install -m 0755 "$built/$program" "/usr/local/bin/.$program.new"
        mv "/usr/local/bin/.$program.new" "/usr/local/bin/$program"
    }
done

# The panel's user, and that of the process which answers scrapers, who have nothing else. Their groups may connect to sockets of the panel's
# and of metrics.
. packaging/users.sh
berth_users berth-web berth-metrics

# Open to pass through, for these users; what lies in it is closed.
install -d -m 0711 "$(dirname "$BERTH_STATE")" "$(dirname "$BERTH_DATA")"

step "Engine"
scripts/engine.sh
step "Images"
berth image build
step "State repo"
if [ ! -e "$BERTH_STATE" ]; then
    # Nobody has the keys in example-state: whoever runs this becomes its first admin.
    keys=$(mktemp)
    trap 'rm -f "$keys"' EXIT
    scripts/keys.sh >"$keys"
    berth init "$BERTH_STATE" --from example-state --domain "$BERTH_DOMAIN" --admin-key "$keys"
else
    echo "$BERTH_STATE is there already; nothing was changed"
fi
berth hook install "$BERTH_STATE"
step "Platform"
if [ -d /run/systemd/system ]; then
    scripts/units.sh
    # Through the reconciler, which has come up by now.
    berth apply || true
else
    berth up --detach
fi
step "Ready"
berth status || echo "Not everything is as it should be yet; \`berth status\` tells more in a moment."
scripts/ready.sh
