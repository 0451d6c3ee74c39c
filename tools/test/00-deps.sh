#!/usr/bin/env bash
# Everything a test needs is installed.
set -euo pipefail
exec "$CLEAT_ROOT/tools/deps.sh"
