#!/usr/bin/env bash
# Cleat (release), and what the lab makes of other people's modules and packages.
set -euo pipefail
"$CLEAT_ROOT/dev" build release
exec "$CLEAT_ROOT/lab/kubernetes" prepare
