#!/usr/bin/env bash
# Real processes: the short versions of the scenarios against clusters of the lab.
set -euo pipefail
exec "$CLEAT_ROOT/test/integration/run" --length short
