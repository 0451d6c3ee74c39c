#!/usr/bin/env bash
# Unit, property, golden, explorer, crash and short fuzz tests: all that is registered with ctest.
set -euo pipefail
exec "$CLEAT_ROOT/tools/run_ctest" "$CLEAT_BUILD"
