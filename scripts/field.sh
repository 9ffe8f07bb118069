#!/usr/bin/env bash
# Prints a field of platform.toml, as `main` of $BERTH_STATE has it.
#
#   scripts/field.sh TABLE FIELD [DEFAULT]      TABLE is empty for a field above all tables
set -euo pipefail
# By its folder, git doesn't ask whose the repository is.
git --git-dir="$BERTH_STATE" show main:platform.toml 2>/dev/null |
    awk -v table="${1:+[$1]}" -v field="$2" -v usual="${3:-}" '
        BEGIN { here = (table == "") }
        /^\[/ { here = ($1 == table) }
        here && $1 == field { gsub(/"/, "", $3); found = $3 }
        END { print (found == "" ? usual : found) }'
