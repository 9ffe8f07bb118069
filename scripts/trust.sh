#!/usr/bin/env bash
# Makes this machine trust the platform's own CAs: that of the sites and that of the panel.
#
#   scripts/trust.sh           trusts them
#   scripts/trust.sh remove    takes that back
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=$(scripts/field.sh "" prefix hosting)
panel=$(scripts/field.sh panel domain)
folder=/usr/local/share/ca-certificates

if [ "${1:-}" = remove ]; then
    rm -f "$folder/berth-$prefix-sites.crt" "$folder/berth-$prefix-panel.crt"
    exec update-ca-certificates --fresh
fi

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
files=()
take() { # name, command...
    local name=$1
    shift
    if "$@" >"$new/$name" 2>/dev/null && grep -q 'BEGIN CERTIFICATE' "$new/$name"; then
        install -m 0644 "$new/$name" "$folder/berth-$prefix-$name.crt"
        files+=("$folder/berth-$prefix-$name.crt")
    else
        echo "the CA of the $name isn't there yet: \`berth status\` says what is missing" >&2
        return 1
    fi
}
take sites docker exec "$prefix-users-caddy" cat /data/table/pki/authorities/local/root.crt
[ -z "$panel" ] || take panel cat "$BERTH_DATA-panel/own-ca/$panel/ca.pem"
update-ca-certificates >/dev/null
cat <<TEXT
Programs of this machine now trust the platform's sites${panel:+ and its panel}: curl, git, and whatever reads /etc/ssl/certs.
A browser has a list of its own. Import there, as an authority for websites:
$(printf '  %s\n' "${files[@]}")
TEXT
