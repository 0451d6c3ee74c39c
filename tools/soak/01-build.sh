#!/usr/bin/env bash
# The whole tree builds without a warning (release).
set -euo pipefail
exec "$CLEAT_ROOT/dev" build release
