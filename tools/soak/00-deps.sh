#!/usr/bin/env bash
# Everything a soak needs is installed.
set -euo pipefail
exec "$CLEAT_ROOT/tools/deps.sh"
