#!/usr/bin/env bash
# Runs the platform's processes as services of systemd: those of the package, with the programs in /usr/local/bin. Starts again what has
# changed, and nothing else.
#
#   scripts/units.sh [program that was replaced]...
set -euo pipefail
cd "$(dirname "$0")/.."
units=/etc/systemd/system
changed=$*

put() { # file, text
    if ! cmp -s "$1" <<<"$2"; then
        mkdir -p "$(dirname "$1")"
        cat >"$1" <<<"$2"
        changed="$changed ${1##*/}"
    fi
}

for unit in packaging/units/*; do
    put "$units/${unit##*/}" "$(sed 's|/usr/bin/berth|/usr/local/bin/berth|' "$unit")"
done
# The places that `make` was given. The services write nowhere else.
places="[Service]
Environment=BERTH_STATE=$BERTH_STATE BERTH_DATA=$BERTH_DATA
ReadWritePaths=$(dirname "$BERTH_STATE") $(dirname "$BERTH_DATA")"
put "$units/berth.service.d/places.conf" "$places"
put "$units/berth-.service.d/places.conf" "$places"

systemctl daemon-reload
# Processes that `berth up` started, before there were services.
systemctl is-active --quiet berth.service || berth down
systemctl --quiet enable berth.target berth.service berth-{door,remote,acme,oidc,mail,web}.service
case $changed in
"") systemctl start berth.target ;;
*) systemctl restart berth.target ;;
esac
