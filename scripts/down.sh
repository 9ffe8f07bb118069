#!/usr/bin/env bash
# Stops the platform's processes; servers and the engine keep running.
set -euo pipefail
if [ -d /run/systemd/system ] && systemctl is-active --quiet berth.target; then
    exec systemctl stop berth.target
fi
exec berth down
