#!/usr/bin/env bash
# Real processes: the long versions of the scenarios.
set -euo pipefail
exec "$CLEAT_ROOT/test/integration/run" --length long
