#!/usr/bin/env bash
# Runs the platform's processes as services of systemd: those of the package, with the programs in /usr/local/bin. Starts them again if a
# unit changes, or if somebody has left the file $BERTH_PENDING, which goes once that is done.
set -euo pipefail
cd "$(dirname "$0")/.."
units=/etc/systemd/system

put() { # file, text
    if ! cmp -s "$1" <<<"$2"; then
        mkdir -p "$(dirname "$1")"
        touch "$BERTH_PENDING"
        cat >"$1" <<<"$2"
    fi
}

for unit in packaging/units/*; do
    put "$units/${unit##*/}" "$(sed 's|/usr/bin/berth|/usr/local/bin/berth|' "$unit")"
done
# A word of a unit, whatever is in it (systemd.syntax(7), and "Specifiers" in systemd.unit(5)).
word() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//%/%%}"
}

# The places that `make` was given. The services write nowhere else.
folders="$(word "$(dirname "$BERTH_STATE")") $(word "$(dirname "$BERTH_DATA")")"
places="[Unit]
RequiresMountsFor=$folders
[Service]
Environment=$(word "BERTH_STATE=$BERTH_STATE") $(word "BERTH_DATA=$BERTH_DATA")
ReadWritePaths=$folders"
put "$units/berth.service.d/places.conf" "$places"
put "$units/berth-.service.d/places.conf" "$places"

systemctl daemon-reload
# Processes that `berth up` started, before there were services.
systemctl is-active --quiet berth.service || berth down
systemctl --quiet enable berth.target berth.service berth-{door,remote,acme,oidc,mail,web}.service
if [ -e "$BERTH_PENDING" ]; then
    systemctl restart berth.target
    rm "$BERTH_PENDING"
else
    systemctl start berth.target
fi
