#!/usr/bin/env bash
# Stops the platform's processes; servers and the engine keep running.
set -euo pipefail
exec berth down
