#!/usr/bin/env bash
# What the lab and its tests need is installed.
set -euo pipefail
exec "$CLEAT_ROOT/tools/deps.sh" base build lab kubernetes
